"""What a source is measured to be, from really encoded video and from clocks that misbehave."""

from collections.abc import Callable, Iterable

import pytest

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from tests.media.rtc import encoded


def feed(meter: SourceMeter, pictures: Iterable[bytes], *, timestamp: int = 0, step: int = 3_000) -> int:
    """Feed pictures as H.264; the bytes that were fed."""
    total = 0
    for number, picture in enumerate(pictures):
        for payload in encoded.h264_payloads(picture):
            meter.add_video(payload, (timestamp + number * step) & 0xFFFF_FFFF)
            total += len(payload)
    return total


def test_nothing_is_known_before_anything_came() -> None:
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
    for number, picture in enumerate(encoded.vp8(width=320, height=240)):
        for payload in encoded.vp8_payloads(picture):
            meter.add_video(payload, number * 3_000)
    measured = meter.take(1.0)
    assert (measured.width, measured.height, measured.frames_per_second) == (320, 240, 3.0)
    assert not measured.has_b_frames


def test_b_frames_are_noticed_and_forgotten() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264(frames=8, b_frames=2, profile="main"))
    assert meter.take(1.0).has_b_frames
    feed(meter, encoded.h264(frames=4), timestamp=90_000)
    assert not meter.take(2.0).has_b_frames


def test_a_change_of_size_is_followed() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264(width=1280, height=720))
    feed(meter, encoded.h264(width=640, height=360), timestamp=9_000)
    assert meter.take(1.0).width == 640


def test_the_size_stays_known_between_keyframes() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264())
    meter.take(1.0)
    assert meter.take(2.0).width == 640


def test_a_source_that_pauses_has_no_frames() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264())
    meter.take(1.0)
    measured = meter.take(2.0)
    assert (measured.frames_per_second, measured.bitrate_bps) == (0.0, 0)


def test_the_frame_rate_is_that_of_the_media_clock() -> None:
    """An interval of the wall's clock holds 29, 30 or 31 frames of a 30 frame source: it is 30 all the same."""
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    picture = encoded.h264(frames=1)
    for number in range(10):
        feed(meter, picture, timestamp=number * 3_000)
    meter.take(1.0)
    for number in range(10, 41):
        feed(meter, picture, timestamp=number * 3_000)
    assert meter.take(2.0).frames_per_second == 30.0


@pytest.mark.parametrize("late", [3_000, 90_000])
def test_late_and_repeated_packets_are_no_new_frames(late: int) -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    picture = encoded.h264(frames=1)
    for timestamp in (90_000, 93_000, 93_000 - late, 93_000):
        feed(meter, picture, timestamp=timestamp)
    assert meter.take(1.0).frames_per_second == 2.0


def test_the_timestamp_may_wrap() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264(frames=4), timestamp=2**32 - 6_000)
    assert meter.take(1.0).frames_per_second == 4.0


def test_another_layers_clock_takes_over() -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    feed(meter, encoded.h264(frames=2), timestamp=3_000_000_000)
    meter.take(1.0)
    feed(meter, encoded.h264(frames=3), timestamp=5_000)
    assert meter.take(2.0).frames_per_second == 3.0


def test_noise_is_counted_and_no_more() -> None:
    for codec in (Codec.H264, Codec.VP8):
        meter = SourceMeter(codec=codec, now=0.0)
        for payload in (b"", b"\x67", b"\x7c", b"\x78\xff", b"\x90", b"\x67" + bytes(50)):
            meter.add_video(payload, 0)
        assert meter.take(0.0).width is None


def single(unit: bytes) -> bytes:
    """The NAL unit as it is."""
    return unit


def aggregated(unit: bytes) -> bytes:
    """In a STAP-A behind an SEI."""
    return b"\x78\x00\x02\x06\x01" + len(unit).to_bytes(2) + unit


def fragmented(unit: bytes) -> bytes:
    """The first piece of an FU-A."""
    return bytes([unit[0] & 0xE0 | 28, 0x80 | unit[0] & 0x1F]) + unit[1:]


@pytest.mark.parametrize("packed", [single, aggregated, fragmented])
@pytest.mark.parametrize(
    ("slice_byte", "is_b"),
    # first_mb_in_slice 0 is "1"; then slice_type 0, 5 (P), 1, 6 (B) and 7 (I) as ue(v).
    [(0b1_1_000000, False), (0b1_00110_00, False), (0b1_010_0000, True), (0b1_00111_00, True), (0b1_0001000, False)],
)
def test_a_b_slice_is_told_by_both_of_its_numbers_however_it_is_packed(
    *, packed: Callable[[bytes], bytes], slice_byte: int, is_b: bool
) -> None:
    meter = SourceMeter(codec=Codec.H264, now=0.0)
    meter.add_video(packed(bytes([0x01, slice_byte, 0xFF, 0xFF])), 0)
    assert meter.take(1.0).has_b_frames == is_b


@pytest.mark.parametrize("aggregate", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (1280, 720)], ids=["small slices", "fragmented slices"])
def test_b_frames_of_an_encoder_are_noticed_however_they_are_packed(*, aggregate: bool, size: tuple[int, int]) -> None:
    for b_frames in (0, 1, 3):
        meter = SourceMeter(codec=Codec.H264, now=0.0)
        pictures = encoded.h264(width=size[0], height=size[1], frames=10, b_frames=b_frames, profile="high")
        for number, picture in enumerate(pictures):
            for payload in encoded.h264_payloads(picture, aggregate=aggregate):
                meter.add_video(payload, number * 3_000)
        assert meter.take(1.0).has_b_frames == (b_frames > 0)
