"""The memory of the recorder process, and of a composition, over a long time. Not a part of `make bench`.

    python -m bench.recorder.memory_run recorder --minutes 60
    python -m bench.recorder.memory_run composition --minutes 60

It prints the resident memory at the start, and once for each of ten equal parts of the time.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bench.composition.run import composed_for
from bench.recorder.recorded_publishers import recorded_for
from stagebook.server.logs import configure_logging

SAMPLES = 10
RUNS: dict[str, Callable[[Path, float, Callable[[float], None]], Awaitable[None]]] = {
    "recorder": recorded_for,
    "composition": composed_for,
}


def main() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="bench.recorder.memory_run", description="Print resident memory over time.")
    parser.add_argument("what", choices=RUNS)
    parser.add_argument("--minutes", type=float, default=60.0)
    arguments = parser.parse_args()
    configure_logging(level="warning", form="text")
    interval_seconds = arguments.minutes * 60 / SAMPLES
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(_run(RUNS[arguments.what], Path(folder), interval_seconds))


async def _run(
    run: Callable[[Path, float, Callable[[float], None]], Awaitable[None]], folder: Path, interval_seconds: float
) -> None:
    started = asyncio.get_running_loop().time()

    def note(megabytes: float) -> None:
        minutes = (asyncio.get_running_loop().time() - started) / 60
        print(f"{minutes:6.1f} min {megabytes:8.1f} MB", flush=True)

    await run(folder / "run", interval_seconds, note)


if __name__ == "__main__":
    main()
