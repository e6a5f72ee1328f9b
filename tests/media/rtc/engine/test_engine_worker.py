"""One engine by itself, where the pool's tests do not reach: unstarted, stopped, and robbed of its port."""

import asyncio
import os
import signal
import socket

import pytest

from stagebook.media.port import MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.rtc.engine import engine_messages
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from stagebook.media.rtc.engine.engine_worker import EngineWorker
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.media.rtc import offers

DEADLINE_SECONDS = 30


class Told:
    """What an engine told."""

    def __init__(self) -> None:
        self.facts: list[MediaFact] = []
        self.losses = 0

    def lose(self, _engine: EngineWorker, _unanswered: frozenset[str]) -> None:
        self.losses += 1


def make(told: Told, *, timeouts: WorkerTimeouts | None = None) -> EngineWorker:
    return EngineWorker(
        EngineSettings(), number=0, on_fact=told.facts.append, on_lost=told.lose, timeouts=timeouts or WorkerTimeouts()
    )


def publish(engine: EngineWorker) -> engine_messages.PublishRequest:
    return engine_messages.PublishRequest(
        request_id=engine.next_request_id(), connection_id="c", source_id="s", offer=offers.CHROMIUM
    )


async def until_running(engine: EngineWorker, *, running: bool) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while engine.is_running is not running:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)


async def test_an_engine_that_was_not_started_takes_nothing_and_stops() -> None:
    engine = make(Told())
    with pytest.raises(MediaRefusedError) as refused:
        await engine.request(publish(engine), engine_messages.OfferAnswered)
    assert refused.value.reason is RefusalReason.ENGINE_LOST
    engine.send(engine_messages.CloseCommand(connection_id="c"))
    await engine.stop()
    assert engine.process_id is None


async def test_a_stopped_engine_takes_nothing_and_was_not_lost() -> None:
    told = Told()
    engine = make(told)
    await engine.start()
    await engine.stop()
    await engine.stop()
    with pytest.raises(MediaRefusedError):
        await engine.request(publish(engine), engine_messages.OfferAnswered)
    assert told.losses == 0


async def test_a_stop_does_not_wait_for_the_next_start() -> None:
    told = Told()
    engine = make(told, timeouts=WorkerTimeouts(restart_delay_seconds=3_600))
    await engine.start()
    assert engine.process_id is not None
    os.kill(engine.process_id, signal.SIGKILL)
    await until_running(engine, running=False)
    await engine.stop()
    assert told.losses == 1


async def test_a_port_that_the_system_chose_is_given_up_when_another_has_taken_it() -> None:
    engine = make(Told(), timeouts=WorkerTimeouts(restart_delay_seconds=1.0))
    await engine.start()
    try:
        port = engine.udp_port
        assert engine.process_id is not None
        os.kill(engine.process_id, signal.SIGKILL)
        await until_running(engine, running=False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.bind(("127.0.0.1", port))
            await until_running(engine, running=True)
            assert engine.udp_port not in (0, port)
            await engine.request(publish(engine), engine_messages.OfferAnswered)
    finally:
        await engine.stop()
