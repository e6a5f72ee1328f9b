"""How far sound and picture drift apart on their way from a real encoder through a whole server to a viewer.

`python -m tests.e2e.ingest.long_sync --minutes 10` measures for as long as you like and fails above MAX_OFFSET_SECONDS.
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
from tests.e2e.ingest.ingest_of_test import IngestOfTest
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import run_server

MAX_OFFSET_SECONDS: Final = 0.040
POLL_SECONDS: Final = 0.1
FLASH_AND_BEEP: Final = {
    **VARIABLES,
    "INPUT": "-re -f lavfi -i color=black:size=320x240:rate=30[ground];color=white:size=320x240:rate=30[flash];"
    "[ground][flash]overlay=enable=lt(mod(n\\,30)\\,3) "
    "-f lavfi -i aevalsrc=sin(2*PI*1000*t)*lt(mod(t\\,1)\\,0.1):sample_rate=48000",
}
"""The variables of a stream with a flash and a beep of a tenth of a second at the start of each second."""


async def measure(
    viewer: TimedViewer, *, count: int, tell: Callable[[list[float]], None] = lambda _: None
) -> list[float]:
    """Return the offsets of so many flashes in seconds; above zero the beep is late. The publisher is there already."""
    await viewer.start()
    async with asyncio.timeout(count * 1.5 + 30):
        while len(viewer.offsets_seconds) < count:
            await asyncio.sleep(POLL_SECONDS)
            tell(viewer.offsets_seconds)
    return viewer.offsets_seconds


async def _run(minutes: float) -> bool:
    told = 0

    def tell(offsets: list[float]) -> None:
        nonlocal told
        if len(offsets) >= told + 60:
            told = len(offsets)
            print(f"{told:5} flashes, the last 60: {_text(offsets[-60:])}", flush=True)

    with tempfile.TemporaryDirectory() as folder, run_server(Path(folder) / "data") as server:
        stage = StageHandle(server)
        ingest = await IngestOfTest.make(stage)
        try:
            await ingest.publish(variables=FLASH_AND_BEEP)
            _, token = await stage.token("SUBSCRIBE")
            viewer = TimedViewer(token, publisher_id=ingest.participant_id)
            offsets = await measure(viewer, count=round(minutes * 60), tell=tell)
            await viewer.stop()
        finally:
            await ingest.close()
    print(f"all of {len(offsets)}: {_text(offsets)}")
    return max(map(abs, offsets)) <= MAX_OFFSET_SECONDS


def _text(offsets: list[float]) -> str:
    mean = sum(offsets) / len(offsets)
    return f"mean {mean * 1e3:+.1f} ms, from {min(offsets) * 1e3:+.1f} to {max(offsets) * 1e3:+.1f} ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    sys.exit(0 if asyncio.run(_run(parser.parse_args().minutes)) else 1)
