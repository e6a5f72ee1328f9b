"""Feeds with several video tracks: their layers, what viewers are sent, and what ends with what."""

import asyncio
from collections.abc import Iterator
from itertools import islice

import msgspec
import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import MAX_VIDEO_TRACKS, Unit
from stagebook.media.port import (
    Connected,
    InitialLayer,
    LayerChoice,
    MediaRefusedError,
    RefusalReason,
    VideoLayer,
)
from stagebook.media.rtc.rtp.rtcp import SenderReport
from stagebook.media.rtc.rtp.rtcp_writer import write_receiver_report, write_remb
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.encoder.layered_feed import REPORT_SECONDS
from stagebook.media.rtc.sfu.published_source import PublishedSource
from tests.media.rtc.feed_client import (
    FeedClient,
    VideoOptions,
    audio_units,
    encode_tone,
    open_feed,
    running_engine_with_feeds,
    video_units,
)
from tests.media.rtc.raw_peer import RawPeer
from tests.media.rtc.running_engine import RunningEngine, wait_until
from tests.media.rtc.sfu.relay.relayed_engines import relayed_engines

HIGH = VideoOptions(width=640, height=360, gop_frames=5, bitrate_bps=1_200_000)
LOW = VideoOptions(width=320, height=180, gop_frames=5, bitrate_bps=200_000)
BETWEEN_BPS = 700_000

START_SECONDS = 100.0
"""Where the encoder's clock begins."""


class LayeredEncoder:
    """An encoder with two video tracks, which sends frame by frame."""

    def __init__(self, feed: FeedClient, *, start_seconds: float = START_SECONDS) -> None:
        self.feed = feed
        self._videos = [video_units(options, start_seconds=start_seconds) for options in (HIGH, LOW)]
        self._audio = audio_units(start_seconds=start_seconds)

    def send(self, frames: int = 1, *, tracks: tuple[int, ...] = (0, 1)) -> list[Unit]:
        """Send so many frames of each track, and an audio packet with each. Returns the units of video."""
        sent: list[Unit] = []
        for _ in range(frames):
            for track in tracks:
                sent.append(msgspec.structs.replace(_next(self._videos[track]), track=track))
                self.feed.send(sent[-1])
            self.feed.send(_next(self._audio))
        return sent

    def send_gop(self) -> list[Unit]:
        """Send one GOP of each track."""
        return self.send(HIGH.gop_frames)


def _next(units: Iterator[tuple[float, Unit]]) -> Unit:
    return next(iter(islice(units, 1)))[1]


async def start(engine: RunningEngine, connection_id: str = "f", *, video_tracks: int = 2) -> LayeredEncoder:
    """Connect an encoder and wait until its layers are known."""
    encoder = LayeredEncoder(await open_feed(engine, connection_id, video_tracks=video_tracks))
    await engine.wait_for(Connected(connection_id=connection_id))
    return encoder


async def watch(engine: RunningEngine, connection_id: str = "v") -> RawPeer:
    viewer = await engine.viewer(connection_id, codec="H264")
    await engine.wait_for(Connected(connection_id=connection_id))
    return viewer


def listed(engine: RunningEngine) -> list[VideoLayer]:
    return list(engine.forwarder.layers(connection_id="v").layers)


def payload_of(units: list[Unit], track: int) -> bytes:
    """The first slice of a track's first unit."""
    return next(unit for unit in units if unit.track == track).payloads[-1]


async def receive_payload(viewer: RawPeer, payload: bytes) -> list[RtpPacket]:
    """Receive up to the packet with this payload."""
    received = [await viewer.receive_rtp()]
    while received[-1].payload != payload:
        received.append(await viewer.receive_rtp())
    return received


def _facts(layer: VideoLayer) -> tuple[str, int, int, bool]:
    return (layer.encoding_id, layer.width, layer.height, layer.is_selected)


async def test_the_tracks_are_layers_that_viewers_choose() -> None:
    async with running_engine_with_feeds() as engine:
        encoder = await start(engine)
        viewer = await watch(engine)
        await receive_payload(viewer, payload_of(encoder.send_gop(), 0))
        expected = [("1", 320, 180, False), ("0", 640, 360, True)]
        await wait_until(lambda: [_facts(layer) for layer in listed(engine)] == expected, "both layers")
        engine.forwarder.select_layer(connection_id="v", choice=LayerChoice.exactly("1"))
        before = await receive_payload(viewer, payload_of(encoder.send_gop(), 1))
        engine.forwarder.select_layer(connection_id="v", choice=LayerChoice.exactly("0"))
        after = await receive_payload(viewer, payload_of(encoder.send_gop(), 0))
        video = [packet for packet in (*before, *after) if packet.ssrc == before[-1].ssrc]
        assert [(packet.sequence - video[0].sequence) & 0xFFFF for packet in video] == list(range(len(video)))
        clock = [(packet.timestamp - video[0].timestamp) & 0xFFFFFFFF for packet in video]
        assert clock == sorted(clock)


async def test_a_viewer_may_start_with_the_lowest_layer() -> None:
    async with running_engine_with_feeds() as engine:
        encoder = await start(engine)
        encoder.send_gop()
        await wait_until(lambda: all(_sizes(engine)), "the sizes of both layers")
        viewer = engine.raw_peer()
        answer = engine.forwarder.subscribe(
            connection_id="v",
            source_id="source",
            offer=viewer.offer("recvonly", codec="H264"),
            initial_layer=InitialLayer.LOWEST,
        )
        assert answer.has_layers
        await viewer.connect(answer.sdp, engine.forwarder.udp_port)
        await engine.wait_for(Connected(connection_id="v"))
        await receive_payload(viewer, payload_of(encoder.send_gop(), 1))


def _sizes(engine: RunningEngine) -> list[int]:
    """The pixels of both layers; 0 for one that is not known."""
    source = engine.forwarder._sources["source"]
    assert isinstance(source, PublishedSource)
    assert source.publisher is not None
    incoming = source.publisher.track_of(MediaKind.VIDEO)
    assert incoming is not None
    known = [layer.pixels for layer in incoming.layers.values()]
    return known if len(known) == 2 else [0]


async def test_a_viewer_on_a_slow_line_is_sent_the_lower_layer() -> None:
    async with running_engine_with_feeds() as engine:
        encoder = await start(engine)
        viewer = await watch(engine)
        await receive_payload(viewer, payload_of(encoder.send_gop(), 0))
        assert _selection(engine) == ["0"]
        for _ in range(100):
            encoder.send_gop()
            await viewer.send_rtcp(_remb(BETWEEN_BPS))
            await asyncio.sleep(HIGH.gop_frames / HIGH.frames_per_second)
            if _selection(engine) == ["1"]:
                break
        await receive_payload(viewer, payload_of(encoder.send_gop(), 1))


def _selection(engine: RunningEngine) -> list[str]:
    return [layer.encoding_id for layer in listed(engine) if layer.is_selected]


def _remb(bitrate_bps: int) -> bytes:
    """A compound with the maximum bitrate that a viewer estimates."""
    report = write_receiver_report(ssrc=1, blocks=(), cname=b"v")
    return report + write_remb(sender_ssrc=1, bitrate_bps=bitrate_bps, media_ssrcs=(1,))


async def test_audio_and_video_have_one_clock() -> None:
    async with running_engine_with_feeds() as engine:
        encoder = await start(engine)
        viewer = await watch(engine)
        sent = encoder.send_gop()
        video = (await receive_payload(viewer, payload_of(sent, 0)))[-1].ssrc
        engine.skipped_seconds += REPORT_SECONDS
        encoder.send_gop()
        reports: dict[int, SenderReport] = {}
        while len(reports) < 2:
            received = await viewer.receive()
            messages = received if isinstance(received, list) else []
            reports |= {message.ssrc: message for message in messages if isinstance(message, SenderReport)}
        rates = {ssrc: 90_000 if ssrc == video else 48_000 for ssrc in reports}
        zeros = [report.ntp / (1 << 32) - report.rtp_timestamp / rates[ssrc] for ssrc, report in reports.items()]
        assert zeros[0] == pytest.approx(zeros[1], abs=0.001)
        for ssrc, report in reports.items():
            assert report.rtp_timestamp / rates[ssrc] == pytest.approx(START_SECONDS + REPORT_SECONDS, abs=2)


async def test_all_tracks_count_for_the_bitrate_and_the_largest_is_measured() -> None:
    async with running_engine_with_feeds() as engine:
        encoder = await start(engine)
        engine.forwarder._timer.stop()  # The test measures.
        source, counters = engine.forwarder._sources["source"], engine.forwarder._counters
        source.measure(0.0)
        encoder.send_gop()
        await wait_until(lambda: counters.feed_units == 3 * HIGH.gop_frames, "the units")
        (measured,) = source.measure(1.0)
        assert (measured.connection_id, measured.video_codec, measured.audio_codec) == ("f", "H264", "opus")
        assert (measured.width, measured.height) == (HIGH.width, HIGH.height)
        assert measured.bitrate_bps == counters.feed_bytes * 8


async def test_a_newer_feed_takes_the_viewers_over() -> None:
    async with running_engine_with_feeds() as engine:
        older = await start(engine)
        viewer = await watch(engine)
        before = await receive_payload(viewer, payload_of(older.send_gop(), 0))
        newer = await start(engine, "g")
        assert await older.feed.is_disconnected()
        after = await receive_payload(viewer, payload_of(newer.send_gop(), 0))
        assert before[-1].ssrc == after[-1].ssrc


async def test_an_encoder_that_comes_back_with_one_track_feeds_the_same_viewers() -> None:
    async with running_engine_with_feeds() as engine:
        older = await start(engine)
        viewer = await watch(engine)
        await receive_payload(viewer, payload_of(older.send_gop(), 0))
        engine.forwarder.close(connection_id="f")
        assert engine.forwarder._sources["source"].measure(0.0) == []
        newer = await start(engine, "g", video_tracks=1)
        await receive_payload(viewer, payload_of(newer.send(5, tracks=(0,)), 0))
        assert listed(engine) == []


@pytest.mark.parametrize("is_redundant", [True, False])
async def test_a_source_of_single_feeds_is_sent_track_0_alone(*, is_redundant: bool) -> None:
    async with running_engine_with_feeds() as engine:
        first = await open_feed(engine, "e", is_redundant=is_redundant, video_tracks=2 if is_redundant else 1)
        await engine.wait_for(Connected(connection_id="e"))
        engine.forwarder.close(connection_id="e")
        assert await first.is_disconnected()
        encoder = LayeredEncoder(await open_feed(engine, is_redundant=is_redundant, video_tracks=2))
        await engine.wait_for(Connected(connection_id="f"))
        viewer = await watch(engine)
        units = encoder.send_gop()
        video = [payload for unit in units if unit.track == 0 for payload in unit.payloads]
        audio = set(encode_tone())
        received: list[bytes] = []
        while len(received) < len(video):
            payload = (await viewer.receive_rtp()).payload
            received += [payload] if payload not in audio else []
        assert received == video
        assert listed(engine) == []


async def test_the_end_of_the_source_ends_the_feed() -> None:
    async with running_engine_with_feeds() as engine:
        encoder = await start(engine)
        engine.forwarder.end_source(source_id="source")
        assert await encoder.feed.is_disconnected()
        await engine.publisher()


async def test_webrtc_cannot_publish_a_source_with_layered_feeds() -> None:
    async with running_engine_with_feeds() as engine:
        await start(engine)
        with pytest.raises(MediaRefusedError) as refused:
            await engine.publisher()
        assert refused.value.reason is RefusalReason.BUSY


@pytest.mark.parametrize("video_tracks", [0, MAX_VIDEO_TRACKS + 1])
async def test_a_wrong_number_of_tracks_is_refused(video_tracks: int) -> None:
    async with running_engine_with_feeds() as engine:
        feed = await open_feed(engine, video_tracks=video_tracks)
        assert await feed.is_disconnected()
        assert engine.facts == []


async def test_a_unit_of_an_unknown_track_is_dropped() -> None:
    async with running_engine_with_feeds() as engine:
        encoder = await start(engine)
        viewer = await watch(engine)
        encoder.feed.send(msgspec.structs.replace(_next(video_units(LOW)), track=2))
        await receive_payload(viewer, payload_of(encoder.send_gop(), 0))
        assert len(listed(engine)) == 2


async def test_a_viewer_on_another_engine_chooses_its_layer() -> None:
    async with relayed_engines() as engines:
        encoder = await start(engines.own)
        await engines.relay()
        viewer = await engines.viewer(codec="H264")
        await receive_payload(viewer, payload_of(encoder.send_gop(), 0))
        engines.other.forwarder.select_layer(connection_id="v", choice=LayerChoice.exactly("1"))
        await receive_payload(viewer, payload_of(encoder.send_gop(), 1))
