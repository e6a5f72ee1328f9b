"""MediaRouter with a real engine process, ingest process and encoder.

The tests follow an encoder's connection: request, acceptance, feed, measurement, end. Each end is reported once.
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.media_router import MediaRouter
from stagebook.media.port import (
    CloseCause,
    Closed,
    Connected,
    IngestAsked,
    IngestFailed,
    IngestFault,
    MediaFact,
    MediaRefusedError,
    RefusalReason,
    SourceMeasured,
)
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.media.ingest.encoded_stream import stream
from tests.media.ingest.running_rtmp_server import first_second, send, until
from tests.media.rtc import offers

FAST_RESTART = WorkerTimeouts(restart_delay_seconds=0.01)
CONNECTED = Connected(connection_id="c")


def closed(cause: CloseCause, connection_id: str = "c") -> Closed:
    return Closed(connection_id=connection_id, cause=cause)


class FactInjectingPool(EnginePool):
    """A pool in which a test can inject engine facts at times at which real engines rarely report them."""

    def inject(self, fact: MediaFact) -> None:
        self._handle_fact(fact)


class RunningRouter:
    """A MediaRouter with running processes, and the facts that it reported."""

    def __init__(self, pool: FactInjectingPool, ingest: IngestPool | None, port: int) -> None:
        self.pool = pool
        self.ingest = ingest
        self.router = MediaRouter(pool, ingest)
        self.facts: list[MediaFact] = []
        self._port = port
        self._handled = 0
        self.router.listen(self.facts.append)

    def encoder(self) -> RtmpPublisher:
        return RtmpPublisher("127.0.0.1", self._port)

    async def next_request(self) -> IngestAsked:
        """Wait for the next encoder's request."""

        def requests() -> list[IngestAsked]:
            return [fact for fact in self.facts if isinstance(fact, IngestAsked)]

        await until(lambda: len(requests()) > self._handled, "an encoder's request")
        self._handled += 1
        return requests()[self._handled - 1]

    async def accept(
        self, encoder: RtmpPublisher, connection_id: str = "c", *, source_id: str = "s", is_redundant: bool = False
    ) -> None:
        """Accept an encoder's publish, and wait until its media arrives."""
        publishing = asyncio.create_task(encoder.publish("k"))
        request = await self.next_request()
        await self.router.ingest(
            ask_id=request.ask_id, connection_id=connection_id, source_id=source_id, is_redundant=is_redundant
        )
        await publishing
        await send(encoder, first_second())
        await self.wait_for(Connected(connection_id=connection_id))

    async def wait_for(self, fact: MediaFact) -> None:
        await until(lambda: fact in self.facts, f"{fact} among {self.facts}")

    def ends(self) -> Sequence[MediaFact]:
        """The reported ends of encoders' connections."""
        return [fact for fact in self.facts if isinstance(fact, Closed | IngestFailed)]


@asynccontextmanager
async def running_router(*, ingest_processes: int = 1) -> AsyncIterator[RunningRouter]:
    stream()  # Encoding takes long, so it is done before any timeout runs. The result is cached.
    async with AsyncExitStack() as parts:
        rtmp = parts.enter_context(socket.create_server(("127.0.0.1", 0)))
        pool = FactInjectingPool(EngineSettings(), processes=1, timeouts=FAST_RESTART)
        ingest = IngestPool(IngestSettings(), processes=ingest_processes, rtmp=rtmp, rtmps=None, timeouts=FAST_RESTART)
        await pool.start()
        parts.push_async_callback(pool.stop)
        await ingest.start()
        parts.push_async_callback(ingest.stop)
        yield RunningRouter(pool, ingest, rtmp.getsockname()[1])


async def can_subscribe(running: RunningRouter, source_id: str = "s") -> bool:
    """Whether a viewer can subscribe to the source."""
    try:
        await running.router.subscribe(connection_id="probe", source_id=source_id, offer=offers.CHROMIUM_VIEWER)
    except MediaRefusedError:
        return False
    await running.router.close(connection_id="probe")
    return True


async def test_an_accepted_encoder_is_measured_and_can_be_watched() -> None:
    async with running_router() as running, running.encoder() as encoder:
        await running.accept(encoder)
        await until(
            lambda: any(isinstance(fact, SourceMeasured) and fact.width == 320 for fact in running.facts),
            "a measurement",
        )
        assert await can_subscribe(running)
        await encoder.unpublish()
        await running.wait_for(closed(CloseCause.PEER_CLOSED))
        assert running.ends() == [closed(CloseCause.PEER_CLOSED)]


async def test_webrtc_publishers_go_to_the_engine_pool() -> None:
    async with running_router() as running:
        answer = await running.router.publish(connection_id="w", source_id="s", offer=offers.CHROMIUM)
        assert await can_subscribe(running)
        with pytest.raises(MediaRefusedError):
            await running.router.patch(connection_id="w", fragment="nonsense", ice_session=answer.ice_session)
        await running.router.end_source(source_id="s")
        assert not await can_subscribe(running)


async def test_a_refused_encoder_receives_the_reason() -> None:
    async with running_router() as running, running.encoder() as encoder:
        publishing = asyncio.create_task(encoder.publish("k"))
        await running.router.refuse_ingest(
            ask_id=(await running.next_request()).ask_id, detail="not today", is_wrong_key=False
        )
        with pytest.raises(RefusedError, match="not today"):
            await publishing


async def test_an_encoder_that_has_disconnected_leaves_no_connection() -> None:
    async with running_router() as running:
        with pytest.raises(MediaRefusedError) as refused:
            await running.router.ingest(ask_id="gone", connection_id="c", source_id="s", is_redundant=False)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
        with pytest.raises(MediaRefusedError) as unknown:
            await running.router.patch(connection_id="c", fragment="", ice_session=None)
        assert unknown.value.reason is RefusalReason.UNKNOWN_CONNECTION


async def test_close_ends_both_halves_of_a_connection_without_a_fact() -> None:
    async with running_router() as running, running.encoder() as encoder:
        await running.accept(encoder)
        await running.router.close(connection_id="c")
        await running.router.close(connection_id="c")
        await encoder.closed()
        assert await can_subscribe(running), "the source stays for its next publisher"
        assert running.ends() == []


async def test_end_source_ends_every_encoder_that_feeds_it() -> None:
    async with (
        running_router() as running,
        running.encoder() as first,
        running.encoder() as second,
        running.encoder() as third,
    ):
        await running.accept(first, "c1", is_redundant=True)
        await running.accept(second, "c2", is_redundant=True)
        await running.accept(third, "d", source_id="t")
        await running.router.end_source(source_id="s")
        await first.closed()
        await second.closed()
        assert not await can_subscribe(running)
        assert await can_subscribe(running, "t")
        assert running.ends() == []


async def test_a_source_that_ends_during_the_acceptance_refuses_the_encoder() -> None:
    async with running_router() as running, running.encoder() as encoder:
        publishing = asyncio.create_task(encoder.publish("k"))
        request = await running.next_request()
        accepting = asyncio.create_task(
            running.router.ingest(ask_id=request.ask_id, connection_id="c", source_id="s", is_redundant=False)
        )
        await asyncio.sleep(0)
        await running.router.end_source(source_id="s")
        with pytest.raises(MediaRefusedError):
            await accepting
        await running.router.refuse_ingest(ask_id=request.ask_id, detail="ended", is_wrong_key=False)
        with pytest.raises(RefusedError, match="ended"):
            await publishing
        assert not await can_subscribe(running)


async def test_a_failed_stream_is_reported_once() -> None:
    async with running_router() as running, running.encoder() as encoder:
        await running.accept(encoder)
        await encoder.video(2_000, b"\x12" + bytes(20))
        await until(lambda: bool(running.ends()), "the fault")
        (failed,) = running.ends()
        assert isinstance(failed, IngestFailed)
        assert failed.fault is IngestFault.VIDEO_CODEC
        await running.router.end_source(source_id="s")
        assert running.ends() == [failed]


async def test_a_lost_engine_ends_its_encoders_once() -> None:
    async with running_router() as running, running.encoder() as encoder:
        await running.accept(encoder)
        (engine,) = running.pool.engines
        previous = engine.process_id
        assert previous is not None
        os.kill(previous, signal.SIGKILL)
        await running.wait_for(closed(CloseCause.ENGINE_LOST))
        await encoder.closed()
        await until(lambda: engine.is_running and engine.process_id != previous, "the next engine process")
        async with running.encoder() as again:
            await running.accept(again, "d")
        assert running.ends()[0] == closed(CloseCause.ENGINE_LOST)
        assert [fact for fact in running.ends() if fact == closed(CloseCause.ENGINE_LOST)] == [running.ends()[0]]


async def test_a_lost_ingest_process_ends_its_encoders_once_and_the_source_can_be_fed_again() -> None:
    async with running_router() as running, running.encoder() as encoder:
        await running.accept(encoder)
        assert running.ingest is not None
        previous = running.ingest.workers[0].process_id
        assert previous is not None
        os.kill(previous, signal.SIGKILL)
        await running.wait_for(closed(CloseCause.ENGINE_LOST))
        async with running.encoder() as again:
            await running.accept(again, "d")
            assert running.ends() == [closed(CloseCause.ENGINE_LOST)]


@pytest.mark.parametrize("has_source_ended", [False, True])
async def test_late_facts_of_an_engine_are_dropped(*, has_source_ended: bool) -> None:
    async with running_router() as running, running.encoder() as encoder:
        await running.accept(encoder)

        def inject_late_facts() -> None:
            running.pool.inject(SourceMeasured(source_id="s", connection_id="c", bitrate_bps=1))
            running.pool.inject(closed(CloseCause.ENGINE_LOST))

        def on_fact(fact: MediaFact) -> None:
            running.facts.append(fact)
            if fact == closed(CloseCause.PEER_CLOSED):
                inject_late_facts()  # The engine does not know of the end yet.

        running.router.listen(on_fact)
        await encoder.unpublish()
        await running.wait_for(closed(CloseCause.PEER_CLOSED))
        if has_source_ended:
            await running.router.end_source(source_id="s")
        inject_late_facts()
        assert running.facts[-1] == closed(CloseCause.PEER_CLOSED)


@pytest.mark.parametrize("ending", ["left", "closed", "refused"])
async def test_ended_connections_are_removed_while_another_feeds_the_source(
    ending: str,
) -> None:
    async with running_router() as running, running.encoder() as other:
        await running.accept(other, "other", is_redundant=True)
        for number in range(3):
            async with running.encoder() as encoder:
                if ending == "refused":
                    with pytest.raises(MediaRefusedError):
                        await running.router.ingest(
                            ask_id="gone", connection_id=f"c{number}", source_id="s", is_redundant=True
                        )
                    continue
                await running.accept(encoder, f"c{number}", is_redundant=True)
                if ending == "left":
                    await encoder.unpublish()
                    await running.wait_for(closed(CloseCause.PEER_CLOSED, f"c{number}"))
                else:
                    await running.router.close(connection_id=f"c{number}")
        assert await can_subscribe(running)
        assert running.router._source_of == {"other": "s"}


async def test_the_feed_of_an_encoder_that_left_is_closed() -> None:
    async with running_router() as running, running.encoder() as encoder:
        await running.accept(encoder)
        await encoder.unpublish()
        await running.wait_for(closed(CloseCause.PEER_CLOSED))
        with pytest.raises(MediaRefusedError) as refused:
            await running.router.patch(connection_id="c", fragment="", ice_session=None)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION


async def test_without_ingest_encoders_are_refused() -> None:
    async with running_router() as running:
        router = MediaRouter(running.pool, None)
        router.listen(running.facts.append)
        with pytest.raises(MediaRefusedError, match="RTMP ingest is not enabled"):
            await router.ingest(ask_id="a", connection_id="c", source_id="s", is_redundant=False)
        await router.refuse_ingest(ask_id="a", detail="no", is_wrong_key=False)
        await router.close(connection_id="c")
