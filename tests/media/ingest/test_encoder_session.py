"""One encoder's connection: the decision about its stream key, the stream, and every way in which it ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from itertools import count

import msgspec
import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest import encoder_admission, encoder_session, media_bus_writer
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
from tests.media.ingest.running_rtmp_server import (
    TOKEN,
    RunningRtmpServer,
    first_second,
    running_rtmp_server,
    send,
    until,
)

ENCODER_LEFT = Closed(connection_id="c", cause=CloseCause.PEER_CLOSED)
ENGINE_LOST = Closed(connection_id="c", cause=CloseCause.ENGINE_LOST)
SILENT = Closed(connection_id="c", cause=CloseCause.CONSENT_LOST)


async def until_both_tracks_are_fed(rtmp: RunningRtmpServer) -> None:
    await until(lambda: rtmp.media_engine.kinds() == set(MediaKind), "both tracks at the media engine")


async def description(encoder: RtmpPublisher) -> str:
    """Return the description of the next error status, which encoders show to their users."""
    information: Mapping[str, object] = await encoder.status()
    assert information["level"] == "error"
    return str(information["description"])


async def test_a_stream_is_asked_for_admitted_and_fed_to_the_engine() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        publishing = asyncio.create_task(encoder.publish("a stream key"))
        ask = await rtmp.next_ask()
        assert (ask.stream_key, ask.is_secure, ask.remote_address) == ("a stream key", False, "127.0.0.1")
        assert not publishing.done()
        rtmp.admit(ask)
        await publishing
        await send(encoder, first_second())
        await until_both_tracks_are_fed(rtmp)
        assert [hello.token for hello in rtmp.media_engine.hellos] == [TOKEN]
        assert "packetization-mode=1;profile-level-id=" in rtmp.media_engine.hellos[0].video_parameters
        first_frame = next(unit for unit in rtmp.media_engine.units if unit.kind is MediaKind.VIDEO)
        assert first_frame.is_keyframe
        assert rtmp.end_facts() == []


@pytest.mark.parametrize(("app", "name"), [("app/", "/KEY\n"), ("app", "KEY/"), ("app/KEY", "")])
async def test_the_stream_key_of_an_address_as_people_type_it_is_asked_for(app: str, name: str) -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        publishing = asyncio.create_task(encoder.publish(name, app=app))
        ask = await rtmp.next_ask()
        assert ask.stream_key == "KEY"
        rtmp.admit(ask)
        await publishing


async def test_a_large_data_message_does_not_end_the_stream() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        await encoder.metadata({"thumbnail": "x" * 1_000_000})
        await send(encoder, first_second())
        await until_both_tracks_are_fed(rtmp)
        assert rtmp.end_facts() == []


async def test_an_rtmps_connection_is_marked_as_secure() -> None:
    async with running_rtmp_server(with_tls=True) as rtmp, rtmp.encoder(is_secure=True) as encoder:
        publishing = asyncio.create_task(encoder.publish("k"))
        ask = await rtmp.next_ask()
        assert ask.is_secure
        rtmp.admit(ask)
        await publishing
        await send(encoder, first_second())
        await until_both_tracks_are_fed(rtmp)
        await encoder.unpublish()
        await rtmp.wait_for_fact(ENCODER_LEFT)
        await encoder.closed()


async def test_media_sent_before_the_decision_is_not_lost() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await encoder.connect()
        await encoder.create_stream()
        await encoder.ask_to_publish("k")
        await send(encoder, first_second())
        rtmp.admit(await rtmp.next_ask())
        await until_both_tracks_are_fed(rtmp)
        frames = sum(message.kind is MediaKind.VIDEO and not message.is_configuration for message in first_second())
        await until(lambda: rtmp.video_frame_count() == frames, "every video frame")


async def test_a_refused_encoder_receives_the_reason_and_no_fact_is_reported() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        publishing = asyncio.create_task(encoder.publish("k"))
        ask = await rtmp.next_ask()
        rtmp.server.refuse(ask_id=ask.ask_id, detail="the stream key is in use")
        with pytest.raises(RefusedError, match="the stream key is in use"):
            await publishing
        await encoder.closed()
        assert rtmp.end_facts() == []
        with pytest.raises(MediaRefusedError) as refused:
            rtmp.admit(ask)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION


async def test_an_encoder_that_left_before_the_decision_cannot_be_admitted() -> None:
    async with running_rtmp_server() as rtmp:
        async with rtmp.encoder() as encoder:
            await encoder.connect()
            await encoder.create_stream()
            await encoder.ask_to_publish("k")
            ask = await rtmp.next_ask()
        await asyncio.sleep(0.1)
        with pytest.raises(MediaRefusedError) as refused:
            rtmp.admit(ask)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
        rtmp.server.refuse(ask_id=ask.ask_id, detail="too late")
        rtmp.server.refuse(ask_id="unknown", detail="too late")
        assert rtmp.end_facts() == []


async def test_a_decision_that_never_comes_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_admission, "DECISION_TIMEOUT_SECONDS", 0.2)
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        with pytest.raises(RefusedError, match="did not decide in time"):
            await encoder.publish("k")
        await encoder.closed()
        assert rtmp.end_facts() == []


async def test_an_encoder_that_is_admitted_at_the_timeout_is_reported_as_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder_admission, "DECISION_TIMEOUT_SECONDS", 0)
    async with running_rtmp_server() as rtmp:

        def on_fact(fact: MediaFact) -> None:
            rtmp.facts.append(fact)
            if isinstance(fact, IngestAsked):
                asyncio.get_running_loop().call_soon(rtmp.admit, fact)

        monkeypatch.setattr(rtmp.server, "_on_fact", on_fact)
        async with rtmp.encoder() as encoder:
            with pytest.raises(RefusedError, match="INTERNAL_SERVER_EXCEPTION: the server did not decide in time"):
                await encoder.publish("k")
            await rtmp.wait_for_fact(ENGINE_LOST)


async def test_an_encoder_that_unpublishes_has_left() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        await send(encoder, first_second())
        await until_both_tracks_are_fed(rtmp)
        await encoder.unpublish()
        await rtmp.wait_for_fact(ENCODER_LEFT)
        await encoder.closed()
        await until(lambda: rtmp.media_engine.ended == 1, "the end of the feed")
        assert rtmp.end_facts() == [ENCODER_LEFT]


async def test_an_encoder_that_closes_its_connection_has_left() -> None:
    async with running_rtmp_server() as rtmp:
        async with rtmp.encoder() as encoder:
            await rtmp.admit_encoder(encoder)
        await rtmp.wait_for_fact(ENCODER_LEFT)


async def test_an_unpublish_before_a_reset_is_processed() -> None:
    async with running_rtmp_server() as rtmp:
        async with rtmp.encoder() as encoder:
            await rtmp.admit_encoder(encoder)
            await encoder.unpublish()
            encoder.reset()
        await rtmp.wait_for_fact(ENCODER_LEFT)


async def test_a_reset_is_a_transport_failure() -> None:
    async with running_rtmp_server() as rtmp:
        async with rtmp.encoder() as encoder:
            await rtmp.admit_encoder(encoder)
            encoder.reset()
        await rtmp.wait_for_fact(Closed(connection_id="c", cause=CloseCause.TRANSPORT_FAILED))


async def test_silence_ends_the_connection_and_the_encoder_receives_the_reason() -> None:
    async with running_rtmp_server(IngestSettings(silence_timeout_seconds=0.5)) as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        await send(encoder, first_second())
        await rtmp.wait_for_fact(SILENT)
        assert await description(encoder) == "no media came for 0.5 s"
        await encoder.closed()


async def test_data_messages_do_not_count_as_media() -> None:
    async with running_rtmp_server(IngestSettings(silence_timeout_seconds=0.5)) as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        await send(encoder, first_second())
        try:
            while not rtmp.end_facts():
                await encoder.metadata({"still": "here"})
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        await rtmp.wait_for_fact(SILENT)


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
    async with running_rtmp_server(IngestSettings(media_timeout_seconds=2)) as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        await send(encoder, [message for message in first_second() if message.kind in kinds])
        await rtmp.wait_for_fact(IngestFailed(connection_id="c", fault=IngestFault.INPUT, detail=missing))
        assert await description(encoder) == f"INVALID_INPUT: {missing}"
        await encoder.closed()
        assert rtmp.media_engine.feeds == 0


async def test_a_single_track_does_not_postpone_the_media_timeout() -> None:
    async with running_rtmp_server(IngestSettings(media_timeout_seconds=1)) as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        async with sending_continuously(encoder, kinds=[MediaKind.VIDEO]):
            await until(lambda: bool(rtmp.end_facts()), "the end of the connection")
        fact = rtmp.end_facts()[0]
        assert isinstance(fact, IngestFailed)
        assert fact.detail.endswith("after 1 s")


@asynccontextmanager
async def sending_continuously(
    encoder: RtmpPublisher, *, kinds: Collection[MediaKind] = tuple(MediaKind)
) -> AsyncIterator[None]:
    """Let the encoder send while the context is active, as fast as it is read."""
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


async def test_an_unsupported_codec_ends_the_stream_with_its_fault() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        await encoder.video(0, b"\x12" + bytes(20))  # Sorenson H.263
        assert await description(encoder) != ""
        fact = rtmp.end_facts()[0]
        assert isinstance(fact, IngestFailed)
        assert fact.fault is IngestFault.VIDEO_CODEC


async def test_a_protocol_error_after_the_admission_is_an_input_fault() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        await encoder.message(1, b"\0\0\0\0", chunk_stream_id=2)  # a chunk size of 0
        code, _, detail = (await description(encoder)).partition(": ")
        assert code == "INVALID_INPUT"
        await rtmp.wait_for_fact(IngestFailed(connection_id="c", fault=IngestFault.INPUT, detail=detail))
        await encoder.closed()


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x03" + bytes(3072) + b"\xff" * 99]
)
async def test_a_protocol_error_before_the_admission_is_not_reported(data: bytes) -> None:
    async with running_rtmp_server() as rtmp:
        reader, writer = await asyncio.open_connection("127.0.0.1", rtmp.port())
        writer.write(data)
        await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert rtmp.facts == []


async def test_close_ends_the_connection_with_a_message_and_without_a_fact() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        await send(encoder, first_second())
        await until_both_tracks_are_fed(rtmp)
        rtmp.server.close(connection_id="c")
        rtmp.server.close(connection_id="unknown")
        assert await description(encoder) == "the stream was ended by the server"
        await encoder.closed()
        assert rtmp.end_facts() == []


async def test_close_sends_the_given_reason() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        rtmp.server.close(connection_id="c", detail="BITRATE_EXCEEDED: 9000000 bit/s")
        assert await description(encoder) == "BITRATE_EXCEEDED: 9000000 bit/s"


async def test_the_reason_arrives_although_the_encoder_keeps_sending() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        async with sending_continuously(encoder):
            await until_both_tracks_are_fed(rtmp)
            rtmp.server.close(connection_id="c")
            assert await description(encoder) == "the stream was ended by the server"


async def test_the_loss_of_the_engine_ends_the_stream_and_the_encoder_receives_the_reason() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        async with sending_continuously(encoder):
            await until_both_tracks_are_fed(rtmp)
            rtmp.media_engine.drop_feeds()
            await rtmp.wait_for_fact(ENGINE_LOST)
            assert await description(encoder) == "INTERNAL_SERVER_EXCEPTION: the media server lost the stream"


async def test_an_engine_that_cannot_be_reached_ends_the_stream() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        rtmp.media_engine.ticket = type(rtmp.media_engine.ticket)(
            path=rtmp.media_engine.ticket.path + "-not", token=TOKEN
        )
        await rtmp.admit_encoder(encoder)
        await send(encoder, first_second())
        await rtmp.wait_for_fact(ENGINE_LOST)


async def test_an_engine_that_does_not_read_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_bus_writer, "MAX_UNSENT_BYTES", 10_000)
    async with running_rtmp_server(IngestSettings(max_buffer_seconds=1_000)) as rtmp, rtmp.encoder() as encoder:
        rtmp.media_engine.reads = False
        await rtmp.admit_encoder(encoder)
        async with sending_continuously(encoder):
            await rtmp.wait_for_fact(ENGINE_LOST)


async def test_messages_that_are_no_media_are_not_read_faster_than_their_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder_session, "MAX_MESSAGES_PER_SECOND", 20)
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        clock = asyncio.get_running_loop().time
        began = clock()
        for _ in range(26):
            await encoder.metadata({})
        await encoder.call("getStreamLength", None)
        await encoder.unpublish()
        await rtmp.wait_for_fact(ENCODER_LEFT)
        assert clock() - began > 0.25


async def test_an_encoder_that_sends_a_file_is_slowed_down_to_real_time() -> None:
    async with running_rtmp_server(IngestSettings(max_buffer_seconds=0.3)) as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        clock = asyncio.get_running_loop().time
        began = clock()
        await send(encoder, stream(seconds=3))
        await encoder.unpublish()
        await rtmp.wait_for_fact(ENCODER_LEFT)
        assert clock() - began > 2.0
        assert rtmp.video_frame_count() == 3 * FRAMES_PER_SECOND
