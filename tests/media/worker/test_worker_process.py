"""WorkerProcess, with the ingest process as the worker. Crashes and hangs are tested with each kind of worker."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import IngestAsked, MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.media.ingest.running_rtmp_server import until


@pytest.fixture
def rtmp_socket() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


async def test_a_listener_that_raises_loses_one_fact_and_not_the_process(rtmp_socket: socket.socket) -> None:
    pool = IngestPool(IngestSettings(), processes=1, rtmp=rtmp_socket, rtmps=None)
    (worker,) = pool.workers
    ask_ids: list[str] = []

    def on_fact(fact: MediaFact) -> None:
        assert isinstance(fact, IngestAsked)
        ask_ids.append(fact.ask_id)
        if len(ask_ids) == 1:
            raise ZeroDivisionError

    pool.listen(on_fact)
    await pool.start()
    try:
        process_id = worker.process_id
        port = rtmp_socket.getsockname()[1]
        async with RtmpPublisher("127.0.0.1", port) as first, RtmpPublisher("127.0.0.1", port) as second:
            await first.connect()
            await first.create_stream()
            await first.ask_to_publish("k")
            await until(lambda: len(ask_ids) == 1, "the first ask")
            publishing = asyncio.create_task(second.publish("k"))
            await until(lambda: len(ask_ids) == 2, "the second ask")
            pool.refuse(ask_id=ask_ids[1], detail="refused by the test", is_wrong_key=False)
            with pytest.raises(RefusedError, match="refused by the test"):
                await publishing
        assert worker.process_id == process_id
    finally:
        await pool.stop()


async def test_without_a_process_commands_are_dropped_and_requests_fail(rtmp_socket: socket.socket) -> None:
    pool = IngestPool(IngestSettings(), processes=1, rtmp=rtmp_socket, rtmps=None)
    (worker,) = pool.workers
    assert not worker.is_running
    worker.refuse(ask_id="a", detail="not delivered")
    with pytest.raises(MediaRefusedError) as refused:
        await worker.admit(ask_id="a", connection_id="c", ticket=FeedTicket(path="/", token="t"))
    assert refused.value.reason is RefusalReason.ENGINE_LOST
    await pool.stop()


async def test_stop_during_the_start_does_not_wait_for_the_start(rtmp_socket: socket.socket) -> None:
    pool = IngestPool(
        IngestSettings(), processes=1, rtmp=rtmp_socket, rtmps=None, timeouts=WorkerTimeouts(stop_seconds=0.01)
    )
    (worker,) = pool.workers
    starting = asyncio.create_task(pool.start())
    await until(lambda: worker.process_id is not None, "a process")
    await pool.stop()
    await asyncio.wait([starting])
    assert not worker.is_running
    assert worker.process_id is None
