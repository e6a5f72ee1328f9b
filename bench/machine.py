"""The machine the figures are from, and how much CPU time one of its processes has used. Linux only."""

import os
import platform
import sys
import sysconfig
import time
from datetime import UTC, datetime
from pathlib import Path

import apsw

from bench.figures import median
from bench.report import number

_SCHED_CLOCK = 2
_SYNC_SAMPLES = 50


def cpu_seconds(process_id: int) -> float:
    """Return the CPU time of a whole process so far, user and system, all its threads, in seconds.

    It is the process's own CPU clock (clock_getcpuclockid(3), whose ids Linux makes this way): it has nanoseconds,
    /proc/<pid>/stat has hundredths of a second. Raises OSError for a process that is gone.
    """
    return time.clock_gettime(~process_id << 3 | _SCHED_CLOCK)


def describe_machine(folder: Path) -> str:
    """Return one paragraph on the machine, its software, the disk below `folder`, the time and the load."""
    load = os.getloadavg()[0]
    return (
        f"Machine: {cpu_model(Path('/proc/cpuinfo').read_text(encoding='utf-8'))}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.release()}, {platform.python_implementation()} {platform.python_version()} "
        f"({describe_build(sysconfig.get_config_var('CONFIG_ARGS') or '')}), "
        f"SQLite {apsw.sqlite_lib_version()}. Disk: a write of 4 KiB and its sync take "
        f"{number(sync_ms(folder))} ms. Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, "
        f"load before the start {load:.2f}."
    )


def cpu_model(cpuinfo: str) -> str:
    """Return the processor's name from the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def describe_build(configure_arguments: str) -> str:
    """Return how the interpreter was built, from the arguments of its `configure`: it is up to twice as fast with."""
    optimised = "--enable-optimizations" in configure_arguments
    return "an optimised build" if optimised else "built without profile-guided optimisation"


def sync_ms(folder: Path) -> float:
    """Return the median time of writing 4 KiB to a file in `folder` and syncing it, in milliseconds."""
    path = folder / "sync-probe"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNC_SAMPLES):
            start = time.perf_counter()
            file.write(bytes(4_096))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - start) * 1_000)
    path.unlink()
    return median(taken)


def require_linux() -> None:
    """End the program with a sentence where CPU time cannot be measured."""
    if sys.platform != "linux":
        sys.exit("bench: CPU time of other processes is read as Linux tells it; run it there")
