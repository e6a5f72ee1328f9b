"""Metrics of the server process, under the names that all Prometheus clients use, and its version."""

import platform
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

_MEMORY = Path("/proc/self/statm")


class ProcessMetrics:
    """Reads the metrics of this process. `version` is that of Stagebook; `started_at` is in seconds since 1970."""

    def __init__(self, *, version: str, started_at: float) -> None:
        self._version = version
        self._started_at = started_at

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        yield InfoMetricFamily(
            "stagebook_build",
            "The version of Stagebook and of Python.",
            value={"version": self._version, "python": platform.python_version()},
        )
        yield CounterMetricFamily(
            "process_cpu_seconds", "CPU time of the server process, without engines.", value=time.process_time()
        )
        yield GaugeMetricFamily(
            "process_resident_memory_bytes", "Memory of the server process, without engines.", value=_resident_bytes()
        )
        yield GaugeMetricFamily(
            "process_start_time_seconds", "Start of the server, in seconds since 1970.", value=self._started_at
        )


def _resident_bytes() -> int:
    """Return the memory that is in use now; on systems without /proc the largest that was."""
    try:
        pages = int(_MEMORY.read_text(encoding="ascii").split()[1])
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * resource.getpagesize()
