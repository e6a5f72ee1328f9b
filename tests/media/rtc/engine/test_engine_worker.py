"""One engine worker: before its start, after its stop, and when another process takes its port."""

import asyncio
import os
import signal
import socket

import pytest

from stagebook.media.port import MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.rtc.engine import engine_messages
from stagebook.media.rtc.engine.engine_worker import EngineWorker
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.media.rtc import offers

DEADLINE_SECONDS = 30


class Recorder:
    """Records the facts and losses of an engine."""

    def __init__(self) -> None:
        self.facts: list[MediaFact] = []
        self.losses = 0

    def record_loss(self, _engine: EngineWorker, _unanswered: frozenset[str]) -> None:
        self.losses += 1


def make_engine(recorder: Recorder, *, timeouts: WorkerTimeouts | None = None) -> EngineWorker:
    return EngineWorker(
        EngineSettings(),
        number=0,
        on_fact=recorder.facts.append,
        on_lost=recorder.record_loss,
        timeouts=timeouts or WorkerTimeouts(),
    )


def publish_request(engine: EngineWorker) -> engine_messages.PublishRequest:
    return engine_messages.PublishRequest(
        request_id=engine.next_request_id(), connection_id="c", source_id="s", offer=offers.CHROMIUM
    )


async def until_running(engine: EngineWorker, *, running: bool) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while engine.is_running is not running:  # noqa: ASYNC110 - the change happens in another process
            await asyncio.sleep(0.01)


async def test_an_engine_that_was_not_started_refuses_requests_and_can_be_stopped() -> None:
    engine = make_engine(Recorder())
    with pytest.raises(MediaRefusedError) as refused:
        await engine.request(publish_request(engine), engine_messages.OfferAnswered)
    assert refused.value.reason is RefusalReason.ENGINE_LOST
    engine.send(engine_messages.CloseCommand(connection_id="c"))
    await engine.stop()
    assert engine.process_id is None


async def test_a_stopped_engine_refuses_requests_and_is_not_reported_lost() -> None:
    recorder = Recorder()
    engine = make_engine(recorder)
    await engine.start()
    await engine.stop()
    await engine.stop()
    with pytest.raises(MediaRefusedError):
        await engine.request(publish_request(engine), engine_messages.OfferAnswered)
    assert recorder.losses == 0


async def test_stop_does_not_wait_for_the_restart_delay() -> None:
    recorder = Recorder()
    engine = make_engine(recorder, timeouts=WorkerTimeouts(restart_delay_seconds=3_600))
    await engine.start()
    assert engine.process_id is not None
    os.kill(engine.process_id, signal.SIGKILL)
    await until_running(engine, running=False)
    await engine.stop()
    assert recorder.losses == 1


async def bind_when_free(opened: socket.socket, port: int) -> None:
    """Bind a socket to a port. The sockets of a killed process may be closed after its exit has been noticed."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                return opened.bind(("127.0.0.1", port))
            except OSError:
                await asyncio.sleep(0.01)


async def test_another_port_is_chosen_when_the_previous_one_has_been_taken() -> None:
    engine = make_engine(Recorder(), timeouts=WorkerTimeouts(restart_delay_seconds=2.0))
    await engine.start()
    try:
        port = engine.udp_port
        assert engine.process_id is not None
        os.kill(engine.process_id, signal.SIGKILL)
        await until_running(engine, running=False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other_process:
            await bind_when_free(other_process, port)
            await until_running(engine, running=True)
            assert engine.udp_port not in (0, port)
            await engine.request(publish_request(engine), engine_messages.OfferAnswered)
    finally:
        await engine.stop()


async def test_the_statistics_of_a_lost_engine_are_continued_by_the_next_one() -> None:
    engine = make_engine(Recorder(), timeouts=WorkerTimeouts(restart_delay_seconds=0.01))
    await engine.start()
    await engine.request(publish_request(engine), engine_messages.OfferAnswered)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while engine.statistics.publishers == 0:  # noqa: ASYNC110 - the change happens in another process
            await asyncio.sleep(0.01)
    assert engine.process_id is not None
    before = engine.statistics
    os.kill(engine.process_id, signal.SIGKILL)
    await until_running(engine, running=False)
    await until_running(engine, running=True)
    assert engine.losses == 1
    assert (engine.statistics.publishers, engine.statistics.cpu_seconds) == (0, before.cpu_seconds)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while engine.statistics.cpu_seconds == before.cpu_seconds:  # noqa: ASYNC110 - same
            await asyncio.sleep(0.01)
    assert engine.statistics.cpu_seconds > before.cpu_seconds
    await engine.stop()
