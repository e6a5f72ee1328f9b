"""The memory of the server's processes, from /proc: resident set sizes, sampled over time."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

SAMPLE_INTERVAL_SECONDS = 2.0
_PROC = Path("/proc")


class MemorySample(msgspec.Struct, frozen=True, kw_only=True):
    """The resident set size of one process at one time."""

    time: float
    process: str
    resident_bytes: int


def process_tree(process_id: int) -> Iterator[tuple[int, str]]:
    """Yield the id and a name of a process and of all its descendants. The name says what the process does."""
    yield process_id, _process_name(process_id)
    for child in _children(process_id):
        yield from process_tree(child)


def resident_bytes(process_id: int) -> int:
    """Return the resident set size of a process; 0 if it has ended."""
    for line in _read(process_id, "status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1_024
    return 0


async def sample_memory(process_id: int, samples: list[MemorySample]) -> None:
    """Add samples of a process and its descendants until the task is cancelled."""
    while True:
        now = time.monotonic()
        for found, name in process_tree(process_id):
            samples.append(MemorySample(time=now, process=f"{name} ({found})", resident_bytes=resident_bytes(found)))
        await asyncio.sleep(SAMPLE_INTERVAL_SECONDS)


def _children(process_id: int) -> list[int]:
    # A child belongs to the thread that started it.
    threads = [path.name for path in (_PROC / str(process_id) / "task").glob("*")]
    return [int(child) for thread in threads for child in _read(process_id, f"task/{thread}/children").split()]


def _process_name(process_id: int) -> str:
    command = _read(process_id, "cmdline")
    return next((name for name in ("ingest", "engine") if f"{name}_process" in command), "server")


def _read(process_id: int, name: str) -> str:
    try:
        return (_PROC / str(process_id) / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
