"""The H.264 of a composition: where keyframes are, and what decodes."""

import itertools
from fractions import Fraction

import av
import pytest
from msgspec.structs import replace

from stagebook.media.composition.encoding.picture_encoder import PictureEncoder, keyframe_interval_seconds
from stagebook.media.recording.hls.encoded_media import EncodedPicture
from tests.media.composition.encoded_media import CANVAS, picture


def encoded(numbers: range, *, rate: float, interval: Fraction) -> list[EncodedPicture]:
    encoder = PictureEncoder(replace(CANVAS, frames_per_second=rate), keyframe_interval=interval)
    return [made for number in numbers for made in encoder.encode(picture(number), number=number)]


@pytest.mark.parametrize(
    ("segment_seconds", "interval"),
    [(None, Fraction(2)), (2, Fraction(2)), (3, Fraction(3, 2)), (5, Fraction(5, 3)), (10, Fraction(2))],
)
def test_a_segment_has_whole_keyframe_intervals_of_at_most_2_s(segment_seconds: int | None, interval: Fraction) -> None:
    assert keyframe_interval_seconds(segment_seconds) == interval


@pytest.mark.parametrize("rate", [15, 29.97])
def test_keyframes_are_where_segments_begin_and_nowhere_else(rate: float) -> None:
    made = encoded(range(100), rate=rate, interval=Fraction(2))
    times = [one.time_us for one in made if one.is_keyframe]
    starts = [
        next(one.time_us for one in made if one.time_us >= start) for start in range(0, made[-1].time_us, 2_000_000)
    ]
    assert times == starts


def test_a_left_out_frame_does_not_move_the_keyframes() -> None:
    encoder = PictureEncoder(CANVAS, keyframe_interval=Fraction(2))
    numbers = [number for number in range(130) if number not in (60, 61)]
    made = [each for number in numbers for each in encoder.encode(picture(number), number=number)]
    assert [one.time_us for one in made if one.is_keyframe] == [0, 2_066_667, 4_000_000]


def test_each_picture_leaves_the_encoder_at_once_and_decodes() -> None:
    encoder = PictureEncoder(CANVAS, keyframe_interval=Fraction(2))
    decoder = av.CodecContext.create("h264", "r")
    shown = []
    for number in range(5):
        (made,) = encoder.encode(picture(number * 20), number=number)
        shown += [frame.to_ndarray(format="gray")[90, 160] for frame in decoder.decode(av.Packet(made.body))]
    shown += [frame.to_ndarray(format="gray")[90, 160] for frame in decoder.decode(None)]
    assert len(shown) == 5
    assert all(later > earlier for earlier, later in itertools.pairwise(shown))
