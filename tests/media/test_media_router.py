"""The whole way of an encoder: asked, let in, fed to a real forwarder process, measured, ended; each end told once."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from stagebook.media.ingest.ingest_engine import IngestEngine
from stagebook.media.ingest.ingest_settings import IngestSettings
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
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.media.ingest.encoded_stream import stream
from tests.media.ingest.serving import first_second, send, until
from tests.media.rtc import offers

PROMPT = WorkerTimeouts(restart_delay_seconds=0.01)
CONNECTED = Connected(connection_id="c")


def closed(cause: CloseCause, connection_id: str = "c") -> Closed:
    return Closed(connection_id=connection_id, cause=cause)


class TellingPool(EnginePool):
    """A pool whose engines' facts a test can also make up, at a moment that the real ones rarely choose."""

    def tell(self, fact: MediaFact) -> None:
        self._take(fact)


class Connecting:
    """A switchboard with everything real behind it, and what it told."""

    def __init__(self, pool: TellingPool, ingest: IngestEngine | None, port: int) -> None:
        self.pool = pool
        self.ingest = ingest
        self.board = MediaRouter(pool, ingest)
        self.facts: list[MediaFact] = []
        self._port = port
        self._answered = 0
        self.board.listen(self.facts.append)

    def encoder(self) -> RtmpPublisher:
        return RtmpPublisher("127.0.0.1", self._port)

    async def asked(self) -> IngestAsked:
        """The next ask."""

        def asks() -> list[IngestAsked]:
            return [fact for fact in self.facts if isinstance(fact, IngestAsked)]

        await until(lambda: len(asks()) > self._answered, "an encoder asks")
        self._answered += 1
        return asks()[self._answered - 1]

    async def let_in(
        self, encoder: RtmpPublisher, connection_id: str = "c", *, source_id: str = "s", is_redundant: bool = False
    ) -> None:
        """Let an encoder in, and wait until its media flows."""
        publishing = asyncio.create_task(encoder.publish("k"))
        ask = await self.asked()
        await self.board.ingest(
            ask_id=ask.ask_id, connection_id=connection_id, source_id=source_id, is_redundant=is_redundant
        )
        await publishing
        await send(encoder, first_second())
        await self.told(Connected(connection_id=connection_id))

    async def told(self, fact: MediaFact) -> None:
        await until(lambda: fact in self.facts, f"{fact} among {self.facts}")

    def ends(self) -> Sequence[MediaFact]:
        """What was told of ends."""
        return [fact for fact in self.facts if isinstance(fact, Closed | IngestFailed)]


@asynccontextmanager
async def connecting(*, settings: IngestSettings | None = None) -> AsyncIterator[Connecting]:
    stream()  # encoded now, so that no timeout runs meanwhile
    async with AsyncExitStack() as parts:
        rtmp = parts.enter_context(socket.create_server(("127.0.0.1", 0)))
        pool = TellingPool(EngineSettings(), processes=1, timeouts=PROMPT)
        ingest = IngestEngine(settings or IngestSettings(), rtmp=rtmp, rtmps=None, timeouts=PROMPT)
        await pool.start()
        parts.push_async_callback(pool.stop)
        await ingest.start()
        parts.push_async_callback(ingest.stop)
        yield Connecting(pool, ingest, rtmp.getsockname()[1])


async def is_known(it: Connecting, source_id: str = "s") -> bool:
    """Whether a viewer would be given this source."""
    try:
        await it.board.subscribe(connection_id="probe", source_id=source_id, offer=offers.CHROMIUM_VIEWER)
    except MediaRefusedError:
        return False
    await it.board.close(connection_id="probe")
    return True


async def test_an_encoder_becomes_a_source_that_is_measured_and_can_be_watched() -> None:
    async with connecting() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await until(
            lambda: any(isinstance(fact, SourceMeasured) and fact.width == 320 for fact in it.facts), "a measurement"
        )
        assert await is_known(it)
        await encoder.unpublish()
        await it.told(closed(CloseCause.PEER_CLOSED))
        assert it.ends() == [closed(CloseCause.PEER_CLOSED)]


async def test_publishers_by_webrtc_go_to_the_forwarders_as_ever() -> None:
    async with connecting() as it:
        answer = await it.board.publish(connection_id="w", source_id="s", offer=offers.CHROMIUM)
        assert await is_known(it)
        with pytest.raises(MediaRefusedError):
            await it.board.patch(connection_id="w", fragment="nonsense", ice_session=answer.ice_session)
        await it.board.end_source(source_id="s")
        assert not await is_known(it)


async def test_a_refused_encoder_is_told_why() -> None:
    async with connecting() as it, it.encoder() as encoder:
        publishing = asyncio.create_task(encoder.publish("k"))
        await it.board.refuse_ingest(ask_id=(await it.asked()).ask_id, detail="not today", is_wrong_key=False)
        with pytest.raises(RefusedError, match="not today"):
            await publishing


async def test_an_encoder_that_is_gone_leaves_no_connection() -> None:
    async with connecting() as it:
        with pytest.raises(MediaRefusedError) as refused:
            await it.board.ingest(ask_id="gone", connection_id="c", source_id="s", is_redundant=False)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
        with pytest.raises(MediaRefusedError) as unknown:
            await it.board.patch(connection_id="c", fragment="", ice_session=None)
        assert unknown.value.reason is RefusalReason.UNKNOWN_CONNECTION


async def test_a_closed_connection_ends_at_both_ends_and_nothing_is_told() -> None:
    async with connecting() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await it.board.close(connection_id="c")
        await it.board.close(connection_id="c")
        await encoder.closed()
        assert await is_known(it), "the source stays for its next publisher"
        assert it.ends() == []


async def test_an_ended_source_ends_every_encoder_that_feeds_it() -> None:
    async with connecting() as it, it.encoder() as one, it.encoder() as other, it.encoder() as third:
        await it.let_in(one, "c1", is_redundant=True)
        await it.let_in(other, "c2", is_redundant=True)
        await it.let_in(third, "d", source_id="t")
        await it.board.end_source(source_id="s")
        await one.closed()
        await other.closed()
        assert not await is_known(it)
        assert await is_known(it, "t")
        assert it.ends() == []


async def test_a_connection_that_is_closed_while_it_begins_does_not_begin() -> None:
    async with connecting() as it, it.encoder() as encoder:
        publishing = asyncio.create_task(encoder.publish("k"))
        ask = await it.asked()
        beginning = asyncio.create_task(
            it.board.ingest(ask_id=ask.ask_id, connection_id="c", source_id="s", is_redundant=False)
        )
        await asyncio.sleep(0)
        await it.board.end_source(source_id="s")
        with pytest.raises(MediaRefusedError):
            await beginning
        await it.board.refuse_ingest(ask_id=ask.ask_id, detail="ended", is_wrong_key=False)
        with pytest.raises(RefusedError, match="ended"):
            await publishing
        assert not await is_known(it)


async def test_a_stream_that_fails_is_told_as_that_alone() -> None:
    async with connecting() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await encoder.video(2_000, b"\x12" + bytes(20))
        await until(lambda: bool(it.ends()), "the fault")
        (failed,) = it.ends()
        assert isinstance(failed, IngestFailed)
        assert failed.fault is IngestFault.VIDEO_CODEC
        await it.board.end_source(source_id="s")
        assert it.ends() == [failed]


async def test_a_lost_forwarder_ends_its_encoders_once() -> None:
    async with connecting() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        (engine,) = it.pool.engines
        former = engine.process_id
        assert former is not None
        os.kill(former, signal.SIGKILL)
        await it.told(closed(CloseCause.ENGINE_LOST))
        await encoder.closed()
        await until(lambda: engine.is_running and engine.process_id != former, "the next forwarder")
        async with it.encoder() as again:
            await it.let_in(again, "d")
        assert it.ends()[0] == closed(CloseCause.ENGINE_LOST)
        assert [fact for fact in it.ends() if fact == closed(CloseCause.ENGINE_LOST)] == [it.ends()[0]]


async def test_a_lost_ingest_process_ends_its_encoders_once_and_the_source_can_be_fed_again() -> None:
    async with connecting() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        assert it.ingest is not None
        former = it.ingest.process_id
        assert former is not None
        os.kill(former, signal.SIGKILL)
        await it.told(closed(CloseCause.ENGINE_LOST))
        async with it.encoder() as again:
            await it.let_in(again, "d")
            assert it.ends() == [closed(CloseCause.ENGINE_LOST)]


@pytest.mark.parametrize("has_source_ended", [False, True])
async def test_what_a_forwarder_tells_too_late_is_dropped(*, has_source_ended: bool) -> None:
    async with connecting() as it, it.encoder() as encoder:
        await it.let_in(encoder)

        def tell_late() -> None:
            it.pool.tell(SourceMeasured(source_id="s", connection_id="c", bitrate_bps=1))
            it.pool.tell(closed(CloseCause.ENGINE_LOST))

        def hear(fact: MediaFact) -> None:
            it.facts.append(fact)
            if fact == closed(CloseCause.PEER_CLOSED):
                tell_late()  # the forwarders cannot have heard of the end yet

        it.board.listen(hear)
        await encoder.unpublish()
        await it.told(closed(CloseCause.PEER_CLOSED))
        if has_source_ended:
            await it.board.end_source(source_id="s")
        tell_late()
        assert it.facts[-1] == closed(CloseCause.PEER_CLOSED)


@pytest.mark.parametrize("way", ["left", "closed", "refused"])
async def test_of_an_encoder_that_comes_again_and_again_nothing_is_kept_while_another_feeds_the_source(
    way: str,
) -> None:
    async with connecting() as it, it.encoder() as other:
        await it.let_in(other, "other", is_redundant=True)
        for number in range(3):
            async with it.encoder() as encoder:
                if way == "refused":
                    with pytest.raises(MediaRefusedError):
                        await it.board.ingest(
                            ask_id="gone", connection_id=f"c{number}", source_id="s", is_redundant=True
                        )
                    continue
                await it.let_in(encoder, f"c{number}", is_redundant=True)
                if way == "left":
                    await encoder.unpublish()
                    await it.told(closed(CloseCause.PEER_CLOSED, f"c{number}"))
                else:
                    await it.board.close(connection_id=f"c{number}")
        assert await is_known(it)
        assert it.board._source_of == {"other": "s"}


async def test_the_forwarders_forget_an_encoder_that_left() -> None:
    async with connecting() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await encoder.unpublish()
        await it.told(closed(CloseCause.PEER_CLOSED))
        with pytest.raises(MediaRefusedError) as refused:
            await it.board.patch(connection_id="c", fragment="", ice_session=None)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION


async def test_without_ingest_encoders_are_not_let_in() -> None:
    async with connecting() as it:
        board = MediaRouter(it.pool, None)
        board.listen(it.facts.append)
        with pytest.raises(MediaRefusedError, match="no encoders are taken in"):
            await board.ingest(ask_id="a", connection_id="c", source_id="s", is_redundant=False)
        await board.refuse_ingest(ask_id="a", detail="no", is_wrong_key=False)
        await board.close(connection_id="c")
