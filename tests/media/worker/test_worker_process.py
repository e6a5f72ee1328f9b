"""The life of a media process, tried with the ingest process. What kills and hangs do is in the tests of each kind."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from stagebook.media.ingest.ingest_engine import IngestEngine
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import IngestAsked, MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.worker.worker_process import WorkerTimeouts
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.media.ingest.serving import until


@pytest.fixture
def rtmp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


async def test_a_listener_that_fails_costs_one_fact_and_no_process(
    rtmp: socket.socket,
) -> None:
    child = IngestEngine(IngestSettings(), rtmp=rtmp, rtmps=None)
    asks: list[str] = []

    def hear(fact: MediaFact) -> None:
        assert isinstance(fact, IngestAsked)
        asks.append(fact.ask_id)
        if len(asks) == 1:
            raise ZeroDivisionError

    child.listen(hear)
    await child.start()
    try:
        process_id = child.process_id
        port = rtmp.getsockname()[1]
        async with RtmpPublisher("127.0.0.1", port) as one, RtmpPublisher("127.0.0.1", port) as other:
            await one.connect()
            await one.create_stream()
            await one.ask_to_publish("k")
            await until(lambda: len(asks) == 1, "the first ask")
            publishing = asyncio.create_task(other.publish("k"))
            await until(lambda: len(asks) == 2, "the second ask")
            child.refuse(ask_id=asks[1], detail="heard", is_wrong_key=False)
            with pytest.raises(RefusedError, match="heard"):
                await publishing
        assert child.process_id == process_id
    finally:
        await child.stop()


async def test_a_process_that_does_not_run_is_told_nothing_and_asked_in_vain(rtmp: socket.socket) -> None:
    child = IngestEngine(IngestSettings(), rtmp=rtmp, rtmps=None)
    assert not child.running
    child.refuse(ask_id="a", detail="nobody hears it", is_wrong_key=False)
    with pytest.raises(MediaRefusedError) as refused:
        await child.admit(ask_id="a", connection_id="c", ticket=FeedTicket(path="/", token="t"))
    assert refused.value.reason is RefusalReason.ENGINE_LOST
    await child.stop()


async def test_a_process_that_is_stopped_while_it_starts_is_not_waited_for(rtmp: socket.socket) -> None:
    child = IngestEngine(IngestSettings(), rtmp=rtmp, rtmps=None, timeouts=WorkerTimeouts(stop_seconds=0.01))
    starting = asyncio.create_task(child.start())
    await until(lambda: child.process_id is not None, "a process")
    await child.stop()
    await asyncio.wait([starting])
    assert not child.running
    assert child.process_id is None
