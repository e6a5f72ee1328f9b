"""What a media process sends to the server: it parses data of strangers, so it may be taken over by one of them."""

import asyncio
from collections.abc import Awaitable, Callable

from stagebook.media.ingest.processes import ingest_messages
from stagebook.media.rtc.engine import engine_messages
from stagebook.media.worker.framing import BrokenStreamError, frame
from stagebook.media.worker.worker_messages import MAX_CONTROL_BYTES, Heartbeat, Logged, StartFailed
from tests.fuzz.fuzz_target import FuzzTarget

_LOOP = asyncio.new_event_loop()


def check_reports(data: bytes) -> None:
    """The reports of a process are read one by one, up to the end of the stream or a broken message."""
    for receive in (engine_messages.receive_report, ingest_messages.receive_report):
        count = _LOOP.run_until_complete(_count(receive, data))
        # Each message has a length of four bytes and a body.
        assert 5 * count <= len(data)


async def _count(receive: Callable[[asyncio.StreamReader], Awaitable[object]], data: bytes) -> int:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    count = 0
    try:
        while True:
            await receive(stream)
            count += 1
    except BrokenStreamError:
        return count


_REPORTS = (
    Heartbeat(),
    StartFailed(detail="no port"),
    Logged(logger="stagebook", level=20, message="started", values={"port": 1, "name": None}),
    engine_messages.EngineRunning(udp_port=40_000),
)

TARGETS = (
    FuzzTarget(
        name="worker-report",
        check=check_reports,
        max_size_bytes=16_384,
        seeds=(b"".join(bytes(frame(report, max_bytes=MAX_CONTROL_BYTES)) for report in _REPORTS),),
        operations_per_byte=200,
        operations_per_input=50_000,
    ),
)
