"""One encoder and the server: asked, let in or not, streamed, and every way in which it ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from itertools import count

import msgspec
import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest import encoder_session, media_bus_writer
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.port import (
    CloseCause,
    Closed,
    IngestAsked,
    IngestFailed,
    IngestFault,
    MediaFact,
    MediaRefusedError,
    RefusalReason,
)
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.media.ingest.encoded_stream import FRAMES_PER_SECOND, stream
from tests.media.ingest.serving import TOKEN, Serving, first_second, send, serving, until

LEFT = Closed(connection_id="c", cause=CloseCause.PEER_CLOSED)
LOST = Closed(connection_id="c", cause=CloseCause.ENGINE_LOST)
SILENT = Closed(connection_id="c", cause=CloseCause.CONSENT_LOST)


async def until_fed(it: Serving) -> None:
    await until(lambda: it.forwarder.kinds() == set(MediaKind), "both tracks at the forwarder")


async def description(encoder: RtmpPublisher) -> str:
    """What the encoder's user reads: the next error."""
    information: Mapping[str, object] = await encoder.status()
    assert information["level"] == "error"
    return str(information["description"])


async def test_a_stream_goes_from_the_ask_to_the_forwarder() -> None:
    async with serving() as it, it.encoder() as encoder:
        publishing = asyncio.create_task(encoder.publish("a stream key"))
        ask = await it.asked()
        assert (ask.stream_key, ask.is_secure, ask.remote_address) == ("a stream key", False, "127.0.0.1")
        assert not publishing.done()
        it.admit(ask)
        await publishing
        await send(encoder, first_second())
        await until_fed(it)
        assert [hello.token for hello in it.forwarder.hellos] == [TOKEN]
        assert "packetization-mode=1;profile-level-id=" in it.forwarder.hellos[0].video_parameters
        first_picture = next(unit for unit in it.forwarder.units if unit.kind is MediaKind.VIDEO)
        assert first_picture.is_keyframe
        assert it.endings() == []


async def test_rtmps_is_told_apart() -> None:
    async with serving(with_tls=True) as it, it.encoder(is_secure=True) as encoder:
        publishing = asyncio.create_task(encoder.publish("k"))
        ask = await it.asked()
        assert ask.is_secure
        it.admit(ask)
        await publishing
        await send(encoder, first_second())
        await until_fed(it)
        await encoder.unpublish()
        await it.told(LEFT)
        await encoder.closed()


async def test_media_of_an_encoder_that_does_not_wait_is_not_lost() -> None:
    async with serving() as it, it.encoder() as encoder:
        await encoder.connect()
        await encoder.create_stream()
        await encoder.ask_to_publish("k")
        await send(encoder, first_second())
        it.admit(await it.asked())
        await until_fed(it)
        pictures = sum(message.kind is MediaKind.VIDEO and not message.is_configuration for message in first_second())
        await until(lambda: it.pictures() == pictures, "every picture")


async def test_a_refused_encoder_is_told_why_and_nothing_else_is_told() -> None:
    async with serving() as it, it.encoder() as encoder:
        publishing = asyncio.create_task(encoder.publish("k"))
        ask = await it.asked()
        it.server.refuse(ask_id=ask.ask_id, detail="the stream key is in use", is_wrong_key=False)
        with pytest.raises(RefusedError, match="the stream key is in use"):
            await publishing
        await encoder.closed()
        assert it.endings() == []
        with pytest.raises(MediaRefusedError) as refused:
            it.admit(ask)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION


async def test_an_encoder_that_left_before_the_verdict_cannot_be_admitted() -> None:
    async with serving() as it:
        async with it.encoder() as encoder:
            await encoder.connect()
            await encoder.create_stream()
            await encoder.ask_to_publish("k")
            ask = await it.asked()
        await asyncio.sleep(0.1)
        with pytest.raises(MediaRefusedError) as refused:
            it.admit(ask)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
        it.server.refuse(ask_id=ask.ask_id, detail="too late", is_wrong_key=False)
        it.server.refuse(ask_id="unknown", detail="too late", is_wrong_key=False)
        assert it.endings() == []


async def test_a_verdict_that_never_comes_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_session, "VERDICT_SECONDS", 0.2)
    async with serving() as it, it.encoder() as encoder:
        with pytest.raises(RefusedError, match="did not decide in time"):
            await encoder.publish("k")
        await encoder.closed()
        assert it.endings() == []


async def test_who_is_let_in_at_the_last_moment_is_told_of_as_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_session, "VERDICT_SECONDS", 0)
    async with serving() as it:

        def hear(fact: MediaFact) -> None:
            it.facts.append(fact)
            if isinstance(fact, IngestAsked):
                asyncio.get_running_loop().call_soon(it.admit, fact)

        monkeypatch.setattr(it.server, "_hear", hear)
        async with it.encoder() as encoder:
            with pytest.raises(RefusedError, match="INTERNAL_SERVER_EXCEPTION: the server did not decide in time"):
                await encoder.publish("k")
            await it.told(LOST)


async def test_an_encoder_that_says_goodbye_has_left() -> None:
    async with serving() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await send(encoder, first_second())
        await until_fed(it)
        await encoder.unpublish()
        await it.told(LEFT)
        await encoder.closed()
        await until(lambda: it.forwarder.ended == 1, "the end of the feed")
        assert it.endings() == [LEFT]


async def test_an_encoder_that_closes_its_connection_has_left() -> None:
    async with serving() as it:
        async with it.encoder() as encoder:
            await it.let_in(encoder)
        await it.told(LEFT)


async def test_a_goodbye_before_a_reset_is_heard() -> None:
    async with serving() as it:
        async with it.encoder() as encoder:
            await it.let_in(encoder)
            await encoder.unpublish()
            encoder.reset()
        await it.told(LEFT)


async def test_a_reset_is_a_broken_connection() -> None:
    async with serving() as it:
        async with it.encoder() as encoder:
            await it.let_in(encoder)
            encoder.reset()
        await it.told(Closed(connection_id="c", cause=CloseCause.TRANSPORT_FAILED))


async def test_silence_is_the_end_and_the_encoder_is_told() -> None:
    async with serving(IngestSettings(silence_timeout_seconds=0.5)) as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await send(encoder, first_second())
        await it.told(SILENT)
        assert await description(encoder) == "no media came for 0.5 s"
        await encoder.closed()


async def test_bytes_that_are_no_media_do_not_break_the_silence() -> None:
    async with serving(IngestSettings(silence_timeout_seconds=0.5)) as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await send(encoder, first_second())
        try:
            while not it.endings():
                await encoder.metadata({"still": "here"})
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        await it.told(SILENT)


@pytest.mark.parametrize(
    ("kinds", "missing"),
    [
        ({MediaKind.VIDEO}, "the stream has no audio after 2 s"),
        ({MediaKind.AUDIO}, "the stream has no video after 2 s"),
        (set(), "the stream has neither audio nor video after 2 s"),
    ],
    ids=["no audio", "no video", "nothing"],
)
async def test_a_stream_without_both_tracks_fails(kinds: set[MediaKind], missing: str) -> None:
    async with serving(IngestSettings(media_timeout_seconds=2)) as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await send(encoder, [message for message in first_second() if message.kind in kinds])
        await it.told(IngestFailed(connection_id="c", fault=IngestFault.INPUT, detail=missing))
        assert await description(encoder) == f"INVALID_INPUT: {missing}"
        await encoder.closed()
        assert it.forwarder.feeds == 0


async def test_one_track_that_never_stops_does_not_put_off_the_end() -> None:
    async with serving(IngestSettings(media_timeout_seconds=1)) as it, it.encoder() as encoder:
        await it.let_in(encoder)
        async with going_on(encoder, kinds=[MediaKind.VIDEO]):
            await until(lambda: bool(it.endings()), "the end")
        fact = it.endings()[0]
        assert isinstance(fact, IngestFailed)
        assert fact.detail.endswith("after 1 s")


@asynccontextmanager
async def going_on(encoder: RtmpPublisher, *, kinds: Collection[MediaKind] = tuple(MediaKind)) -> AsyncIterator[None]:
    """The encoder sends for as long as this lasts, as fast as it is read."""
    sending = asyncio.create_task(_keep_sending(encoder, kinds))
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def _keep_sending(encoder: RtmpPublisher, kinds: Collection[MediaKind]) -> None:
    with contextlib.suppress(ConnectionError):
        for second in count():
            for message in first_second():
                if message.kind in kinds and not (second and message.is_configuration):
                    timestamp_ms = message.timestamp_ms + 1_000 * second
                    await send(encoder, [msgspec.structs.replace(message, timestamp_ms=timestamp_ms)])


async def test_a_codec_that_is_not_carried_fails_with_its_fault() -> None:
    async with serving() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await encoder.video(0, b"\x12" + bytes(20))  # Sorenson H.263
        assert await description(encoder) != ""
        fact = it.endings()[0]
        assert isinstance(fact, IngestFailed)
        assert fact.fault is IngestFault.VIDEO_CODEC


async def test_garbage_after_the_admission_is_a_fault_of_the_input() -> None:
    async with serving() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await encoder.message(1, b"\0\0\0\0", chunk_stream_id=2)  # chunks of no bytes
        code, _, detail = (await description(encoder)).partition(": ")
        assert code == "INVALID_INPUT"
        await it.told(IngestFailed(connection_id="c", fault=IngestFault.INPUT, detail=detail))
        await encoder.closed()


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x03" + bytes(3072) + b"\xff" * 99]
)
async def test_garbage_before_that_is_nobodys_fact(data: bytes) -> None:
    async with serving() as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port())
        writer.write(data)
        await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert it.facts == []


async def test_a_closed_connection_ends_without_a_fact_and_with_a_word() -> None:
    async with serving() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        await send(encoder, first_second())
        await until_fed(it)
        it.server.close(connection_id="c")
        it.server.close(connection_id="unknown")
        assert await description(encoder) == "the stream was ended by the server"
        await encoder.closed()
        assert it.endings() == []


async def test_whoever_closes_a_connection_may_say_why() -> None:
    async with serving() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        it.server.close(connection_id="c", detail="BITRATE_EXCEEDED: 9000000 bit/s")
        assert await description(encoder) == "BITRATE_EXCEEDED: 9000000 bit/s"


async def test_the_last_word_arrives_although_the_encoder_goes_on_sending() -> None:
    async with serving() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        async with going_on(encoder):
            await until_fed(it)
            it.server.close(connection_id="c")
            assert await description(encoder) == "the stream was ended by the server"


async def test_a_forwarder_that_goes_ends_the_stream_and_the_encoder_is_told() -> None:
    async with serving() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        async with going_on(encoder):
            await until_fed(it)
            it.forwarder.drop_feeds()
            await it.told(LOST)
            assert await description(encoder) == "INTERNAL_SERVER_EXCEPTION: the media server lost the stream"


async def test_a_forwarder_that_is_not_there_ends_the_stream() -> None:
    async with serving() as it, it.encoder() as encoder:
        it.forwarder.ticket = type(it.forwarder.ticket)(path=it.forwarder.ticket.path + "-not", token=TOKEN)
        await it.let_in(encoder)
        await send(encoder, first_second())
        await it.told(LOST)


async def test_a_forwarder_that_does_not_read_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_bus_writer, "MAX_WAITING_BYTES", 10_000)
    async with serving(IngestSettings(max_buffer_seconds=1_000)) as it, it.encoder() as encoder:
        it.forwarder.reads = False
        await it.let_in(encoder)
        async with going_on(encoder):
            await it.told(LOST)


async def test_an_encoder_that_sends_a_file_at_once_is_held_to_its_own_speed() -> None:
    async with serving(IngestSettings(max_buffer_seconds=0.3)) as it, it.encoder() as encoder:
        await it.let_in(encoder)
        clock = asyncio.get_running_loop().time
        began = clock()
        await send(encoder, stream(seconds=3))
        await encoder.unpublish()
        await it.told(LEFT)
        assert clock() - began > 2.0
        assert it.pictures() == 3 * FRAMES_PER_SECOND
