"""The encoder feeds of a forwarder: tickets, connections, sources, and what ends with what."""

from collections.abc import Awaitable, Callable

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import FeedTicket, Unit
from stagebook.media.port import Connected, MediaRefusedError, RefusalReason, SourceMeasured
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES
from stagebook.media.rtc.sfu.encoder.encoder_feeds import MAX_PARAMETERS_CHARACTERS
from tests.media.rtc.feed_client import FeedClient, VideoOptions, open_feed, running_engine_with_feeds
from tests.media.rtc.running_engine import RunningEngine, running_engine, wait_until


def ticket_for(engine: RunningEngine, connection_id: str = "f") -> FeedTicket:
    """Open a feed of `source`."""
    return engine.forwarder.open_feed(connection_id=connection_id, source_id="source", is_redundant=False)


async def is_refused(ticket: FeedTicket, *, video_parameters: str = "") -> bool:
    """Whether the server disconnects a client that uses this ticket."""
    client = await FeedClient.open(ticket, video_parameters=video_parameters)
    return await client.is_disconnected()


def refusal_reason(call: Callable[[], object]) -> RefusalReason:
    """The reason of the MediaRefusedError that a call raises."""
    with pytest.raises(MediaRefusedError) as refused:
        call()
    return refused.value.reason


async def test_a_ticket_is_valid_once() -> None:
    async with running_engine_with_feeds() as engine:
        ticket = ticket_for(engine)
        assert ticket.token not in repr(ticket)
        await FeedClient.open(ticket)
        await engine.wait_for(Connected(connection_id="f"))
        assert await is_refused(ticket)
        assert engine.facts.count(Connected(connection_id="f")) == 1


async def test_an_unused_ticket_expires() -> None:
    async with running_engine_with_feeds(EngineSettings(feed_ticket_seconds=20)) as engine:
        ticket = ticket_for(engine)
        engine.skipped_seconds += 21
        await wait_until(lambda: _is_id_free(engine, "f"), "the expiry of the ticket")
        assert await is_refused(ticket)


def _is_id_free(engine: RunningEngine, connection_id: str) -> bool:
    try:
        ticket_for(engine, connection_id)
    except ValueError:
        return False
    return True


async def test_viewers_can_subscribe_after_the_first_hello() -> None:
    async with running_engine_with_feeds() as engine:
        ticket, viewer = ticket_for(engine), engine.raw_peer()
        offer = viewer.offer("recvonly", codec="H264")

        def subscribe() -> object:
            return engine.forwarder.subscribe(connection_id="v", source_id="source", offer=offer)

        assert refusal_reason(subscribe) is RefusalReason.UNKNOWN_SOURCE
        await FeedClient.open(ticket)
        await engine.wait_for(Connected(connection_id="f"))
        subscribe()


async def test_video_parameters_that_are_too_long_are_refused() -> None:
    async with running_engine_with_feeds() as engine:
        assert await is_refused(ticket_for(engine), video_parameters="x" * (MAX_PARAMETERS_CHARACTERS + 1))
        assert engine.facts == []


async def test_an_engine_without_a_feed_directory_refuses_feeds() -> None:
    async with running_engine() as engine:
        assert refusal_reason(lambda: ticket_for(engine)) is RefusalReason.BUSY


async def test_feeds_count_as_connections() -> None:
    async with running_engine_with_feeds(EngineSettings(max_connections=1)) as engine:
        ticket_for(engine)
        assert refusal_reason(lambda: ticket_for(engine, "g")) is RefusalReason.BUSY
        engine.forwarder.close(connection_id="f")
        ticket_for(engine, "g")


async def test_a_source_has_encoder_feeds_or_webrtc_publishers_but_not_both() -> None:
    async with running_engine_with_feeds() as engine:
        await open_feed(engine)
        await engine.wait_for(Connected(connection_id="f"))
        assert await _publish_refusal(engine) is RefusalReason.BUSY
        engine.forwarder.end_source(source_id="source")
        late = ticket_for(engine, "late")
        await engine.publisher()
        assert refusal_reason(lambda: ticket_for(engine, "g")) is RefusalReason.BUSY
        assert await is_refused(late)


async def _publish_refusal(engine: RunningEngine) -> RefusalReason:
    offer = engine.raw_peer().offer("sendonly", codec="H264")
    return refusal_reason(lambda: engine.forwarder.publish(connection_id="p", source_id="source", offer=offer))


@pytest.mark.parametrize("payloads", [(), (b"",), (b"fine", bytes(MAX_PAYLOAD_SIZE_BYTES + 1))])
async def test_a_unit_that_does_not_fit_into_packets_ends_the_feed(payloads: tuple[bytes, ...]) -> None:
    async with running_engine_with_feeds() as engine:
        feed = await open_feed(engine)
        feed.send(Unit(kind=MediaKind.VIDEO, timestamp=0, is_keyframe=True, payloads=payloads))
        assert await feed.is_disconnected()
        assert engine.facts == [Connected(connection_id="f")]


async def test_the_source_and_the_feed_stay_when_the_socket_closes() -> None:
    async with running_engine_with_feeds() as engine:
        feed = await open_feed(engine)
        feed.play()
        await engine.wait_for(Connected(connection_id="f"))
        viewer = await engine.viewer(codec="H264")
        await viewer.receive_rtp()
        await feed.close()
        reported = len(engine.facts)

        def measured_since() -> list[SourceMeasured]:
            return [fact for fact in engine.facts[reported:] if isinstance(fact, SourceMeasured)]

        await wait_until(lambda: len(measured_since()) >= 2, "two measurements after the end")
        assert measured_since()[-1].bitrate_bps == 0
        await engine.viewer("w", codec="H264")
        assert all(isinstance(fact, SourceMeasured | Connected) for fact in engine.facts)


async def _close(engine: RunningEngine) -> None:
    engine.forwarder.close(connection_id="f")


async def _end(engine: RunningEngine) -> None:
    engine.forwarder.end_source(source_id="source")


@pytest.mark.parametrize("finish", [_close, _end])
async def test_a_closed_feed_is_disconnected_without_a_fact(
    finish: Callable[[RunningEngine], Awaitable[None]],
) -> None:
    async with running_engine_with_feeds() as engine:
        feed = await open_feed(engine)
        await engine.wait_for(Connected(connection_id="f"))
        await finish(engine)
        assert await feed.is_disconnected()
        assert engine.facts == [Connected(connection_id="f")]


async def test_end_source_voids_unused_tickets() -> None:
    async with running_engine_with_feeds() as engine:
        ticket = ticket_for(engine)
        engine.forwarder.end_source(source_id="source")
        assert await is_refused(ticket)


async def test_a_feed_that_is_not_redundant_replaces_the_older_one() -> None:
    async with running_engine_with_feeds() as engine:
        older = await open_feed(engine, "f")
        await engine.wait_for(Connected(connection_id="f"))
        newer = await open_feed(engine, "g")
        assert await older.is_disconnected()
        newer.play(VideoOptions(width=640, height=360))
        await wait_until(lambda: _width_of(engine, "g") == 640, "the newer feed's measurement")
        assert not any(isinstance(fact, SourceMeasured) and fact.connection_id == "f" for fact in engine.facts[-2:])


async def test_an_older_ticket_is_void_once_a_newer_feed_has_connected() -> None:
    async with running_engine_with_feeds() as engine:
        older = ticket_for(engine, "f")
        await open_feed(engine, "g")
        await engine.wait_for(Connected(connection_id="g"))
        assert await is_refused(older)
        assert engine.facts == [Connected(connection_id="g")]


async def test_a_newer_ticket_stays_valid_when_an_older_feed_connects() -> None:
    async with running_engine_with_feeds() as engine:
        older, newer = ticket_for(engine, "f"), ticket_for(engine, "g")
        await FeedClient.open(older)
        await engine.wait_for(Connected(connection_id="f"))
        await FeedClient.open(newer)
        await engine.wait_for(Connected(connection_id="g"))


def _measured(engine: RunningEngine, connection_id: str) -> list[SourceMeasured]:
    return [fact for fact in engine.facts if isinstance(fact, SourceMeasured) and fact.connection_id == connection_id]


def _width_of(engine: RunningEngine, connection_id: str) -> int | None:
    measured = _measured(engine, connection_id)
    return measured[-1].width if measured else None


async def test_every_feed_is_measured_also_a_standby_one() -> None:
    async with running_engine_with_feeds() as engine:
        first = await open_feed(engine, "f", is_redundant=True)
        second = await open_feed(engine, "g", is_redundant=True)
        first.play(VideoOptions(b_frames=2))
        second.play(VideoOptions(width=640, height=360, bitrate_bps=1_500_000))
        await wait_until(lambda: (_width_of(engine, "f"), _width_of(engine, "g")) == (320, 640), "both sizes")
        # A busy machine sends less in one second, and more in the next one.
        await wait_until(lambda: any(map(_is_steady, _measured(engine, "g"))), "a second of steady video")
        assert [_measured(engine, feed)[-1].has_b_frames for feed in ("f", "g")] == [True, False]
        measured = [_measured(engine, feed)[-1] for feed in ("f", "g")]
        assert {(fact.video_codec, fact.audio_codec) for fact in measured} == {("H264", "opus")}


def _is_steady(measured: SourceMeasured) -> bool:
    """Whether the measurement is that of 1.5 Mbps of video and the tone, at 30 frames per second."""
    return measured.bitrate_bps == pytest.approx(1_600_000, rel=0.2) and measured.frames_per_second == pytest.approx(
        30, abs=5
    )
