"""Measures the audio/video offset of a stream from ffmpeg through a running server to a viewer.

`python -m tests.e2e.ingest.long_sync --minutes 10` exits with 1 if any offset exceeds MAX_OFFSET_SECONDS.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.clients.timed_viewer import TimedViewer
from tests.e2e.ingest.commands import VARIABLES
from tests.e2e.ingest.ingest_handle import IngestHandle
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import run_server

MAX_OFFSET_SECONDS: Final = 0.040
POLL_SECONDS: Final = 0.1
FLASH_AND_BEEP: Final = {
    **VARIABLES,
    "INPUT": "-re -f lavfi -i color=black:size=320x240:rate=30[background];color=white:size=320x240:rate=30[flash];"
    "[background][flash]overlay=enable=lt(mod(n\\,30)\\,3) "
    "-f lavfi -i aevalsrc=sin(2*PI*1000*t)*lt(mod(t\\,1)\\,0.1):sample_rate=48000",
}
"""The variables of a stream with a flash and a beep of 0.1 s at the start of each second."""


async def measure(
    viewer: TimedViewer, *, count: int, on_progress: Callable[[list[float]], None] = lambda _: None
) -> list[float]:
    """Return the offsets of `count` flashes in seconds; positive if the beep is late. The stream is published."""
    await viewer.start()
    async with asyncio.timeout(count * 1.5 + 30):
        while len(viewer.offsets_seconds) < count:
            await asyncio.sleep(POLL_SECONDS)
            on_progress(viewer.offsets_seconds)
    return viewer.offsets_seconds


async def _run(minutes: float) -> bool:
    reported = 0

    def print_progress(offsets: list[float]) -> None:
        nonlocal reported
        if len(offsets) >= reported + 60:
            reported = len(offsets)
            print(f"{reported:5} flashes, the last 60: {_summary(offsets[-60:])}", flush=True)

    with tempfile.TemporaryDirectory() as folder, run_server(Path(folder) / "data") as server:
        stage = StageHandle(server)
        ingest = await IngestHandle.create(stage)
        try:
            await ingest.publish(variables=FLASH_AND_BEEP)
            _, token = await stage.token("SUBSCRIBE")
            viewer = TimedViewer(token, publisher_id=ingest.participant_id)
            offsets = await measure(viewer, count=round(minutes * 60), on_progress=print_progress)
            await viewer.stop()
        finally:
            await ingest.close()
    print(f"all of {len(offsets)}: {_summary(offsets)}")
    return max(map(abs, offsets)) <= MAX_OFFSET_SECONDS


def _summary(offsets: list[float]) -> str:
    mean = sum(offsets) / len(offsets)
    return f"mean {mean * 1e3:+.1f} ms, from {min(offsets) * 1e3:+.1f} to {max(offsets) * 1e3:+.1f} ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    sys.exit(0 if asyncio.run(_run(parser.parse_args().minutes)) else 1)
