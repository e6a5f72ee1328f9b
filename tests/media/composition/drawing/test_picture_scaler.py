"""How pictures are fitted into rectangles of another shape."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.composition.drawing.canvas import planes_of
from stagebook.media.composition.drawing.picture_scaler import PictureScaler, centred, cropped, letterboxed
from stagebook.media.composition.layout.layout_settings import VideoFillMode
from stagebook.media.composition.layout.placement import PictureSize, Rectangle
from tests.media.composition.drawing.plain_pictures import BLUE, GREEN, RED, color_at, columns, plain

SIZES = st.builds(PictureSize, width=st.integers(16, 1920), height=st.integers(16, 1080))
ROOMS = st.builds(
    PictureSize,
    width=st.integers(1, 960).map(lambda half: 2 * half),
    height=st.integers(1, 540).map(lambda half: 2 * half),
)
SQUARE = PictureSize(width=200, height=200)


def test_cover_crops_both_sides() -> None:
    """The middle half of the picture, two columns of four, fills the square."""
    picture = columns((RED, GREEN, BLUE, RED), 400, 200)
    scaled = PictureScaler().scale(picture, SQUARE, VideoFillMode.COVER)
    assert (scaled.width, scaled.height) == (200, 200)
    assert {color_at(scaled, x, 100) for x in (5, 95)} == {GREEN}
    assert {color_at(scaled, x, 100) for x in (105, 195)} == {BLUE}


def test_contain_shows_all_in_the_middle() -> None:
    picture = columns((RED, GREEN, BLUE, RED), 400, 200)
    scaled = PictureScaler().scale(picture, SQUARE, VideoFillMode.CONTAIN)
    assert (scaled.width, scaled.height) == (200, 100)
    assert [color_at(scaled, x, 50) for x in (25, 75, 125, 175)] == [RED, GREEN, BLUE, RED]


def test_fill_stretches() -> None:
    picture = columns((RED, GREEN, BLUE, RED), 400, 200)
    scaled = PictureScaler().scale(picture, SQUARE, VideoFillMode.FILL)
    assert [color_at(scaled, x, 199) for x in (25, 75, 125, 175)] == [RED, GREEN, BLUE, RED]


def test_full_range_becomes_limited_range() -> None:
    """Browsers on some systems send full range: its white is 255, that of the canvas 235."""
    picture = av.VideoFrame(400, 200, "yuvj420p")
    for plane, value in zip(planes_of(picture), (255, 128, 128), strict=True):
        plane[:] = value
    for mode in VideoFillMode:
        scaled = PictureScaler().scale(picture, SQUARE, mode)
        assert abs(color_at(scaled, 100, 50)[0] - 235) <= 1, mode


def test_other_formats_are_converted() -> None:
    picture = av.VideoFrame.from_ndarray(np.full((200, 400, 3), 255, np.uint8), format="rgb24")
    for mode in VideoFillMode:
        scaled = PictureScaler().scale(picture, SQUARE, mode)
        assert scaled.format.name == "yuv420p"
        assert abs(color_at(scaled, 100, 50)[0] - 235) <= 1, mode


def test_a_picture_of_the_right_size_is_not_copied() -> None:
    picture = plain(RED, 200, 200)
    assert PictureScaler().scale(picture, SQUARE, VideoFillMode.COVER) is picture


@settings(max_examples=50)
@given(SIZES, ROOMS)
def test_letterboxed_is_as_large_as_fits_and_keeps_the_ratio(source: PictureSize, room: PictureSize) -> None:
    inner = letterboxed(source, room)
    assert inner.width <= room.width
    assert inner.height <= room.height
    assert inner.width == room.width or inner.height == room.height
    if min(inner.width, inner.height) > 2:
        assert abs(inner.width - inner.height * source.ratio) <= 2 * max(1.0, source.ratio)


@settings(max_examples=50)
@given(SIZES, ROOMS)
def test_cropped_is_within_the_picture_and_has_the_ratio_of_the_room(source: PictureSize, room: PictureSize) -> None:
    part = cropped(source, room)
    assert min(part.x, part.y) >= 0
    assert part.right <= source.width
    assert part.bottom <= source.height
    if min(part.width, part.height) > 2:
        assert abs(part.width - part.height * room.ratio) <= 2 * max(1.0, room.ratio) + 0.01


def test_a_picture_that_is_nearly_as_small_as_its_tile_is_not_scaled() -> None:
    assert cropped(PictureSize(width=640, height=360), PictureSize(width=638, height=358)) == Rectangle(
        x=0, y=0, width=638, height=358
    )
    assert cropped(PictureSize(width=640, height=360), PictureSize(width=620, height=358)).width > 620


def test_centred_is_at_an_even_position() -> None:
    rectangle = Rectangle(x=10, y=20, width=110, height=60)
    assert centred(PictureSize(width=100, height=54), rectangle) == Rectangle(x=14, y=22, width=100, height=54)


@pytest.mark.parametrize("mode", [VideoFillMode.COVER, VideoFillMode.CONTAIN])
@settings(max_examples=15)
@given(source=SIZES, room=ROOMS)
def test_every_size_can_be_scaled(mode: VideoFillMode, source: PictureSize, room: PictureSize) -> None:
    scaled = PictureScaler().scale(plain(RED, source.width, source.height), room, mode)
    for x, y in ((0, 0), (scaled.width - 1, scaled.height - 1)):
        assert color_at(scaled, x, y) == pytest.approx(RED, abs=8)
