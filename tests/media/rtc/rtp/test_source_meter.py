"""Measuring a source, with encoded video and with timestamps that jump."""

from collections.abc import Callable, Iterable
from unittest.mock import Mock

import pytest

from stagebook.media.codecs import h264_sps
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from tests.media.rtc import encoded


def feed(meter: SourceMeter, frames: Iterable[bytes], *, timestamp: int = 0, step: int = 3_000) -> int:
    """Feed H.264 frames to a meter. Return the number of payload bytes."""
    total = 0
    for number, frame in enumerate(frames):
        for payload in encoded.h264_payloads(frame):
            meter.add_video(payload, (timestamp + number * step) & 0xFFFF_FFFF)
            total += len(payload)
    return total


def test_nothing_is_known_before_the_first_packet() -> None:
    measured = SourceMeter(codec=Codec.H264, now=10.0).take(11.0)
    assert measured.bitrate_bps == 0
    assert (measured.width, measured.height, measured.frames_per_second) == (None, None, None)
    assert not measured.has_b_frames


def test_size_rate_and_bitrate_of_h264() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    total = feed(meter, encoded.h264(width=1280, height=720, frames=30))
    meter.add_bytes(1_000)
    measured = meter.take(1.0)
    assert (measured.width, measured.height) == (1280, 720)
    assert measured.frames_per_second == 30.0
    assert measured.bitrate_bps == (total + 1_000) * 8
    assert not measured.has_b_frames


def test_size_of_vp8() -> None:
    meter = SourceMeter(codec=Codec.VP8, now=0.0)
    for number, frame in enumerate(encoded.vp8(width=320, height=240)):
        for payload in encoded.vp8_payloads(frame):
            meter.add_video(payload, number * 3_000)
    measured = meter.take(1.0)
    assert (measured.width, measured.height, measured.frames_per_second) == (320, 240, 3.0)
    assert not measured.has_b_frames


def test_b_frames_are_detected_in_their_interval_only() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264(frames=8, b_frames=2, profile="main"))
    assert meter.take(1.0).has_b_frames
    feed(meter, encoded.h264(frames=4), timestamp=90_000)
    assert not meter.take(2.0).has_b_frames


def test_a_change_of_the_frame_size_is_detected() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264(width=1280, height=720))
    feed(meter, encoded.h264(width=640, height=360), timestamp=9_000)
    assert meter.take(1.0).width == 640


def test_the_frame_size_stays_known_between_keyframes() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264())
    meter.take(1.0)
    assert meter.take(2.0).width == 640


def test_a_paused_source_has_a_frame_rate_of_zero() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264())
    meter.take(1.0)
    measured = meter.take(2.0)
    assert (measured.frames_per_second, measured.bitrate_bps) == (0.0, 0)


def test_the_frame_rate_is_that_of_the_media_clock() -> None:
    """A second of the wall clock has 29, 30 or 31 frames of a source of 30 frames per second. The rate is 30 always."""
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    frames = encoded.h264(frames=1)
    for number in range(10):
        feed(meter, frames, timestamp=number * 3_000)
    meter.take(1.0)
    for number in range(10, 41):
        feed(meter, frames, timestamp=number * 3_000)
    assert meter.take(2.0).frames_per_second == 30.0


@pytest.mark.parametrize("late", [3_000, 90_000])
def test_late_and_repeated_packets_are_not_new_frames(late: int) -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    frames = encoded.h264(frames=1)
    for timestamp in (90_000, 93_000, 93_000 - late, 93_000):
        feed(meter, frames, timestamp=timestamp)
    assert meter.take(1.0).frames_per_second == 2.0


def test_the_timestamp_may_wrap() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264(frames=4), timestamp=2**32 - 6_000)
    assert meter.take(1.0).frames_per_second == 4.0


def test_frames_are_counted_after_a_switch_to_another_layer() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264(frames=2), timestamp=3_000_000_000)
    meter.take(1.0)
    feed(meter, encoded.h264(frames=3), timestamp=5_000)
    assert meter.take(2.0).frames_per_second == 3.0


def test_malformed_payloads_count_towards_the_bitrate_only() -> None:
    for codec in (Codec.H264, Codec.VP8):
        meter = SourceMeter(codec=codec, now=0.0)
        for payload in (b"", b"\x67", b"\x7c", b"\x78\xff", b"\x90", b"\x67" + bytes(50)):
            meter.add_video(payload, 0)
        assert meter.take(0.0).width is None


def single(unit: bytes) -> bytes:
    """Return a single NAL unit packet."""
    return unit


def aggregated(unit: bytes) -> bytes:
    """Return a STAP-A of an SEI and the NAL unit."""
    return b"\x78\x00\x02\x06\x01" + len(unit).to_bytes(2) + unit


def fragmented(unit: bytes) -> bytes:
    """Return the first FU-A fragment of the NAL unit."""
    return bytes([unit[0] & 0xE0 | 28, 0x80 | unit[0] & 0x1F]) + unit[1:]


@pytest.mark.parametrize("packetize", [single, aggregated, fragmented])
@pytest.mark.parametrize(
    ("slice_byte", "is_b"),
    # first_mb_in_slice 0 is "1"; then slice_type 0, 5 (P), 1, 6 (B) and 7 (I) as ue(v).
    [(0b1_1_000000, False), (0b1_00110_00, False), (0b1_010_0000, True), (0b1_00111_00, True), (0b1_0001000, False)],
)
def test_both_slice_types_of_a_b_slice_are_detected_in_every_packetization(
    *, packetize: Callable[[bytes], bytes], slice_byte: int, is_b: bool
) -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    meter.add_video(packetize(bytes([0x01, slice_byte, 0xFF, 0xFF])), 0)
    assert meter.take(1.0).has_b_frames == is_b


@pytest.mark.parametrize("aggregate", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (1280, 720)], ids=["small slices", "fragmented slices"])
def test_b_frames_of_an_encoder_are_detected_in_every_packetization(*, aggregate: bool, size: tuple[int, int]) -> None:
    for b_frames in (0, 1, 3):
        meter = SourceMeter(codec=Codec.H264, now=0.0)
        frames = encoded.h264(width=size[0], height=size[1], frames=10, b_frames=b_frames, profile="high")
        for number, frame in enumerate(frames):
            for payload in encoded.h264_payloads(frame, aggregate=aggregate):
                meter.add_video(payload, number * 3_000)
        assert meter.take(1.0).has_b_frames == (b_frames > 0)


def test_an_sps_is_parsed_once_in_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = Mock(return_value=None)
    monkeypatch.setattr(h264_sps, "parse_sps", parse)
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    for number in range(100):
        meter.add_video(b"\x67\x42\xc0\x1f" + bytes([number]), number)
    meter.take(1.0)
    meter.take(2.0)
    parse.assert_called_once_with(b"\x67\x42\xc0\x1f" + bytes([99]))
