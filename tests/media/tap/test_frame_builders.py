"""Frames from the payloads of real encoders, whole and damaged."""

from collections.abc import Iterable
from fractions import Fraction

import av
import pytest
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.tap.access_unit_builder import AccessUnitBuilder
from stagebook.media.tap.frame_builder import BuiltFrame, FrameBuilder
from stagebook.media.tap.packet_order import MediaPacket
from stagebook.media.tap.vp8_builder import Vp8Builder
from tests.media.rtc import encoded
from tests.media.tap.sent_packets import h264_frames, media_packets, normalised, vp8_frames

VIDEO = pytest.mark.parametrize("codec", [Codec.H264, Codec.VP8])


def builder_of(codec: Codec) -> FrameBuilder:
    return AccessUnitBuilder() if codec is Codec.H264 else Vp8Builder()


def frames_of(codec: Codec) -> tuple[bytes, ...]:
    return h264_frames() if codec is Codec.H264 else vp8_frames()


def build(builder: FrameBuilder, packets: Iterable[MediaPacket]) -> list[BuiltFrame]:
    return [frame for packet in packets for frame in builder.add(packet)]


def decode(codec: Codec, frames: Iterable[BuiltFrame]) -> int:
    """The number of pictures that a strict decoder makes of frames. Raises what it raises."""
    context = av.CodecContext.create("h264" if codec is Codec.H264 else "vp8", "r")
    context.options = {"err_detect": "explode"}
    pictures = sum(len(context.decode(av.Packet(frame.body))) for frame in frames)
    return pictures + len(context.decode(None))


@VIDEO
def test_frames_are_what_the_encoder_made(codec: Codec) -> None:
    frames = frames_of(codec)
    built = build(builder_of(codec), media_packets(codec, frames))
    expected = [normalised(frame) for frame in frames] if codec is Codec.H264 else list(frames)
    assert [frame.body for frame in built] == expected
    assert [frame.timestamp for frame in built] == [3000 * number for number in range(len(frames))]
    assert [frame.is_keyframe for frame in built] == [True] + [False] * (len(frames) - 1)
    assert built[0].height == 240
    assert decode(codec, built) == len(frames)


@VIDEO
def test_a_stream_without_markers_is_cut_at_its_timestamps(codec: Codec) -> None:
    frames = frames_of(codec)
    built = build(builder_of(codec), media_packets(codec, frames, marker=False))
    assert decode(codec, built) == len(frames) - 1


@VIDEO
def test_nothing_is_handed_on_between_a_loss_and_the_next_keyframe(codec: Codec) -> None:
    builder, packets = builder_of(codec), list(media_packets(codec, frames_of(codec)))
    assert len(build(builder, packets)) == 12
    builder.lose()
    assert builder.waits_for_keyframe
    assert build(builder, packets[-3:]) == []
    assert builder.waits_for_keyframe
    assert build(builder, packets)[0].is_keyframe
    assert not builder.waits_for_keyframe


@VIDEO
@given(data=st.data())
def test_whatever_is_lost_what_is_handed_on_can_be_decoded(codec: Codec, data: st.DataObject) -> None:
    packets = list(media_packets(codec, frames_of(codec) * 3))
    lost = data.draw(st.sets(st.integers(0, len(packets) - 1), max_size=6))
    builder = builder_of(codec)
    built: list[BuiltFrame] = []
    for number, packet in enumerate(packets):
        if number in lost:
            builder.lose()
        else:
            built += builder.add(packet)
    if built:
        assert built[0].is_keyframe
        assert decode(codec, built) == len(built)


@pytest.mark.parametrize(("codec", "encoder"), [(Codec.H264, H264Encoder), (Codec.VP8, Vp8Encoder)])
def test_packets_of_aiortc_are_understood(codec: Codec, encoder: type[H264Encoder | Vp8Encoder]) -> None:
    sender, packets = encoder(), []
    for number in range(5):
        picture = av.VideoFrame(320, 240, "yuv420p")
        picture.pts, picture.time_base = number * 3000, Fraction(1, 90_000)
        payloads, timestamp = sender.encode(picture, force_keyframe=number == 0)
        packets += [MediaPacket(timestamp, payload is payloads[-1], payload) for payload in payloads]
    built = build(builder_of(codec), packets)
    assert len(built) == 5
    assert decode(codec, built) == 5


def test_a_keyframe_without_parameter_sets_gets_those_that_came_before() -> None:
    units = encoded.nal_units(h264_frames()[0])
    idr = next(unit for unit in units if unit[0] & 0x1F == 5)[:1000]
    sets = [unit for unit in units if unit[0] & 0x1F in (7, 8)]
    builder = AccessUnitBuilder()
    first = build(builder, [*(MediaPacket(0, 0, each) for each in sets), MediaPacket(0, 1, idr)])
    second = build(builder, [MediaPacket(3000, 1, idr)])
    assert second[0].body == first[0].body == b"".join(b"\0\0\0\1" + unit for unit in (*sets, idr))


def test_a_keyframe_without_any_parameter_sets_is_not_handed_on() -> None:
    idr = next(unit for unit in encoded.nal_units(h264_frames()[0]) if unit[0] & 0x1F == 5)[:1000]
    builder = AccessUnitBuilder()
    assert build(builder, [MediaPacket(0, 1, idr)]) == []
    assert builder.waits_for_keyframe


def test_a_keyframe_that_has_lost_its_parameter_sets_does_not_get_old_ones() -> None:
    builder, packets = AccessUnitBuilder(), list(media_packets(Codec.H264, h264_frames()[:1]))
    assert len(build(builder, packets)) == 1
    builder.lose()
    assert build(builder, packets[1:]) == []


def test_a_marker_on_the_parameter_sets_does_not_end_the_frame() -> None:
    packets = list(media_packets(Codec.H264, h264_frames()[:1]))
    built = build(AccessUnitBuilder(), [packets[0]._replace(marker=1), *packets[1:]])
    assert [frame.body for frame in built] == [normalised(h264_frames()[0])]


@given(payloads=st.lists(st.binary(max_size=40), max_size=30), markers=st.integers(0, 1 << 30))
def test_no_payload_raises(payloads: list[bytes], markers: int) -> None:
    for builder in (AccessUnitBuilder(), Vp8Builder()):
        for index, payload in enumerate(payloads):
            builder.add(MediaPacket(index // 3, markers >> index & 1, payload))
