"""Taps of real publishers on a real engine process: what arrives can be decoded, in sync, without loss."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from stagebook.demo.generated_media import MovingBar, Tone
from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.port import Connected
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.media.rtc.engine.running_pool import Scenario, running_pool, until
from tests.media.rtc.feed_client import FeedClient, VideoOptions
from tests.media.tap.recorded_taps import RecordedTaps, recorded_taps

DECODERS = {Codec.H264: "h264", Codec.VP8: "vp8", Codec.OPUS: "libopus"}


@contextlib.asynccontextmanager
async def publishing(scenario: Scenario, connection_id: str, codec: Codec) -> AsyncIterator[None]:
    """Publish the source `a` from an aiortc peer: a moving bar and a tone."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        connection.addTransceiver(Tone(), direction="sendonly")
        video = connection.addTransceiver(MovingBar(), direction="sendonly")
        offered = RTCRtpSender.getCapabilities("video").codecs
        wanted = {f"video/{codec}".lower(), "video/rtx"}
        video.setCodecPreferences([known for known in offered if known.mimeType.lower() in wanted])
        await connection.setLocalDescription(await connection.createOffer())
        offer = connection.localDescription.sdp
        answer = await scenario.pool.publish(connection_id=connection_id, source_id="a", offer=offer)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=answer.sdp, type="answer"))
        await until(lambda: Connected(connection_id=connection_id) in scenario.facts)
        yield
    finally:
        await connection.close()


def of(frames: Sequence[TappedFrame], kind: MediaKind) -> list[TappedFrame]:
    return [frame for frame in frames if frame.kind is kind]


async def wait_for_video(taps: RecordedTaps, tap_id: str, frames: int) -> None:
    """Wait until so many more frames of video, and audio, have come."""
    before = len(of(taps.frames[tap_id], MediaKind.VIDEO))
    await until(lambda: len(of(taps.frames[tap_id], MediaKind.VIDEO)) >= before + frames)
    await until(lambda: bool(of(taps.frames[tap_id], MediaKind.AUDIO)))


def assert_whole(frames: Sequence[TappedFrame]) -> None:
    """Assert that each stream of frames is decoded without an error, and that time grows."""
    for kind in MediaKind:
        of_kind = of(frames, kind)
        assert not any(frame.is_after_loss for frame in of_kind)
        assert all(before.time_us < after.time_us for before, after in pairwise(of_kind))
        starts = [0, *(index for index, frame in enumerate(of_kind) if frame.is_new_stream), len(of_kind)]
        for start, end in pairwise(starts):
            assert decode(of_kind[start:end]) >= end - start > 0


def decode(frames: Sequence[TappedFrame]) -> int:
    """The number of pictures or sound frames that a strict decoder makes of one stream."""
    context = av.CodecContext.create(DECODERS[frames[0].codec], "r")
    assert isinstance(context, av.VideoCodecContext | av.AudioCodecContext)
    context.options = {"err_detect": "explode"}
    return sum(len(context.decode(packet)) for packet in (*(av.Packet(frame.body) for frame in frames), None))


async def test_two_taps_of_a_webrtc_publisher_and_the_one_that_replaces_it() -> None:
    async with recorded_taps() as taps, running_pool() as scenario:
        async with publishing(scenario, "p", Codec.H264):
            await scenario.pool.open_tap("a", taps.accept)
            await wait_for_video(taps, "0", 20)
            await scenario.pool.open_tap("a", taps.accept)
            await wait_for_video(taps, "1", 20)
        async with publishing(scenario, "q", Codec.VP8):
            await wait_for_video(taps, "0", 20)
        for frames in taps.frames.values():
            assert_whole(frames)
            assert [frame.codec for frame in frames if frame.is_new_stream and frame.kind is MediaKind.VIDEO] == [
                Codec.VP8
            ]
        assert taps.ended == []


async def test_an_encoder_that_is_tapped_between_keyframes() -> None:
    async with recorded_taps() as taps, running_pool() as scenario:
        ticket = await scenario.pool.open_feed(connection_id="f", source_id="a", is_redundant=False)
        feed = await FeedClient.open(ticket)
        await until(lambda: Connected(connection_id="f") in scenario.facts)
        feed.play(VideoOptions(gop_frames=300))
        await until(lambda: feed.sent_units > 20)
        await scenario.pool.open_tap("a", taps.accept)
        await wait_for_video(taps, "0", 40)
        assert of(taps.frames["0"], MediaKind.VIDEO)[0].is_keyframe
        assert_whole(taps.frames["0"])
