"""A description of the machine, and the CPU time of processes. Linux only."""

import os
import platform
import sys
import sysconfig
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import apsw

from bench.figures import median
from bench.report import number

_SCHED_CLOCK = 2
_SYNC_SAMPLES = 50


def cpu_seconds(process_id: int) -> float:
    """Return the CPU time of a process so far in seconds: user and system time of all its threads.

    It reads the CPU clock of the process; the clock id is computed as clock_getcpuclockid(3) does on Linux. The clock
    has a resolution of nanoseconds, /proc/<pid>/stat one of 10 ms. Raises OSError if the process has ended.
    """
    return time.clock_gettime(~process_id << 3 | _SCHED_CLOCK)


class CpuTimes(NamedTuple):
    """CPU seconds of a process so far, with all its threads."""

    user: float
    system: float


def cpu_times(process_id: int) -> CpuTimes:
    """Return the user and the system time of a process, in steps of 10 ms (proc(5), /proc/pid/stat).

    Raises OSError if the process has ended.
    """
    # The name of the command, in parentheses, may contain spaces.
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    user, system = (int(fields[index]) / os.sysconf("SC_CLK_TCK") for index in (11, 12))
    return CpuTimes(user, system)


def describe_machine(folder: Path) -> str:
    """Return a paragraph about the machine, its software, the disk of `folder`, the time and the load."""
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
    """Return the processor's name from the contents of /proc/cpuinfo, or the architecture if it has none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def describe_build(configure_arguments: str) -> str:
    """Return whether Python was built with optimisations, from the arguments of `configure`."""
    optimised = "--enable-optimizations" in configure_arguments
    return "an optimised build" if optimised else "built without profile-guided optimisation"


def sync_ms(folder: Path) -> float:
    """Return the median time in milliseconds to write 4 KiB to a file in `folder` and sync it to disk."""
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
    """Exit with a message if this is not Linux."""
    if sys.platform != "linux":
        sys.exit("bench: the benchmark needs Linux to measure the CPU time of other processes")
