"""What is drawn for whom: joins, leaves, changes, stopped video, pictures that wait for their sound."""

import av
import numpy as np
import pytest

from stagebook.media.composition.drawing import participant_pictures
from stagebook.media.composition.drawing.canvas import BLACK, PLAIN
from stagebook.media.composition.drawing.compositor import Compositor
from stagebook.media.composition.drawing.picture_scaler import PictureScaler
from stagebook.media.composition.layout.layout_settings import GridLayout, PipLayout, VideoAspectRatio, VideoFillMode
from stagebook.media.composition.layout.placement import PictureSize
from tests.media.composition.drawing.plain_pictures import (
    BLUE,
    GREEN,
    RED,
    canvas_settings,
    color_at,
    composed,
    pixels,
    plain,
)

GRID = GridLayout(grid_gap_pixels=0, featured_participant_attribute="featured", participant_order_attribute="order")
LEFT, RIGHT = (320, 360), (960, 360)
"""Pixels in the middle of the tiles of two participants."""


def two(layout: GridLayout = GRID) -> Compositor:
    """Return a compositor with a red participant and a green one."""
    compositor = Compositor(canvas_settings(), layout)
    compositor.show_participants((composed("red"), composed("green")))
    compositor.receive_picture("red", plain(RED), 0)
    compositor.receive_picture("green", plain(GREEN), 0)
    return compositor


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> list[PictureSize]:
    """The sizes that pictures were scaled to."""
    sizes: list[PictureSize] = []

    class CountedScaler(PictureScaler):
        def scale(self, picture: av.VideoFrame, room: PictureSize, fill_mode: VideoFillMode) -> av.VideoFrame:
            sizes.append(room)
            return super().scale(picture, room, fill_mode)

    monkeypatch.setattr(participant_pictures, "PictureScaler", CountedScaler)
    return sizes


def test_an_empty_stage_is_black() -> None:
    frame = Compositor(canvas_settings(), GRID).draw({})
    assert (frame.width, frame.height, frame.format.name) == (1280, 720, "yuv420p")
    assert {color_at(frame, x, y) for x in (0, 640, 1279) for y in (0, 719)} == {BLACK}


def test_each_participant_is_in_its_tile() -> None:
    frame = two().draw({})
    assert (color_at(frame, *LEFT), color_at(frame, *RIGHT)) == (RED, GREEN)
    assert color_at(frame, 640, 100) == BLACK


def test_a_participant_without_a_picture_has_a_plain_tile() -> None:
    compositor = two()
    compositor.show_participants((composed("red"), composed("green"), composed("new")))
    assert color_at(compositor.draw({}), 640, 540) == PLAIN


def test_the_last_picture_is_repeated() -> None:
    compositor = two()
    first = pixels(compositor.draw({}))
    assert all((one == other).all() for one, other in zip(pixels(compositor.draw({})), first, strict=True))


def test_who_leaves_is_gone_with_the_next_frame() -> None:
    compositor = two()
    compositor.draw({})
    compositor.show_participants((composed("green"),))
    assert color_at(compositor.draw({}), 640, 360) == GREEN


def test_a_tile_that_nobody_has_any_more_is_black() -> None:
    compositor = two()
    compositor.show_participants((composed("red"), composed("green"), composed("new")))
    compositor.draw({})
    compositor.show_participants((composed("red"), composed("green")))
    assert color_at(compositor.draw({}), 640, 700) == BLACK


def test_an_attribute_changes_the_next_frame() -> None:
    compositor = two()
    compositor.draw({})
    compositor.show_participants((composed("red", order="2"), composed("green", order="1")))
    frame = compositor.draw({})
    assert (color_at(frame, *LEFT), color_at(frame, *RIGHT)) == (GREEN, RED)


def test_stopped_video_is_a_plain_tile_and_its_picture_does_not_come_back() -> None:
    compositor = two()
    compositor.draw({})
    stopped = (composed("red", is_video_stopped=True), composed("green"))
    compositor.show_participants(stopped)
    compositor.receive_picture("red", plain(RED), 1)
    assert color_at(compositor.draw({}), *LEFT) == PLAIN
    compositor.show_participants((composed("red"), composed("green")))
    assert color_at(compositor.draw({}), *LEFT) == PLAIN
    compositor.receive_picture("red", plain(BLUE), 2)
    assert color_at(compositor.draw({}), *LEFT) == BLUE


def test_omitted_stopped_video_leaves_its_place_to_the_others() -> None:
    compositor = two(GridLayout(grid_gap_pixels=0, omits_stopped_video=True))
    compositor.show_participants((composed("red", is_video_stopped=True), composed("green")))
    assert color_at(compositor.draw({}), 5, 5) == GREEN


@pytest.mark.parametrize(("width", "height"), [(1922, 1080), (1920, 1082), (1082, 1920)])
def test_a_publisher_above_1080p_is_not_drawn(width: int, height: int) -> None:
    compositor = two()
    compositor.receive_picture("red", plain(RED, width, height), 1)
    frame = compositor.draw({})
    assert (color_at(frame, *LEFT), color_at(frame, *RIGHT)) == (PLAIN, GREEN)
    assert compositor.wanted_heights() == {"red": 1080, "green": 360}


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920)])
def test_a_publisher_of_1080p_is_drawn(width: int, height: int) -> None:
    compositor = two()
    compositor.receive_picture("red", plain(RED, width, height), 1)
    assert color_at(compositor.draw({}), *LEFT) == RED


def test_a_picture_waits_for_its_sound() -> None:
    compositor = two()
    compositor.draw({"red": 0})
    compositor.receive_picture("red", plain(BLUE), 140_000)
    half_frame_us = 16_667
    assert color_at(compositor.draw({"red": 139_999 - half_frame_us}), *LEFT) == RED
    assert color_at(compositor.draw({"red": 140_000 - half_frame_us}), *LEFT) == BLUE


def test_pictures_that_never_become_due_are_shown_when_there_are_too_many() -> None:
    compositor = two()
    compositor.draw({"red": 0})
    for index in range(participant_pictures.MAXIMUM_WAITING + 1):
        compositor.receive_picture("red", plain(BLUE), 10_000_000 + index)
    assert color_at(compositor.draw({"red": 0}), *LEFT) == BLUE


def test_a_new_timeline_drops_what_waits_of_the_old_one() -> None:
    compositor = two()
    compositor.draw({"red": 0})
    compositor.receive_picture("red", plain(BLUE), 9_000_000)
    compositor.receive_picture("red", plain(GREEN), 0)
    assert color_at(compositor.draw({"red": 9_000_000}), *LEFT) == GREEN


def test_pictures_of_unknown_participants_are_dropped() -> None:
    compositor = two()
    before = pixels(compositor.draw({}))
    compositor.receive_picture("nobody", plain(BLUE), 0)
    assert all((one == other).all() for one, other in zip(pixels(compositor.draw({})), before, strict=True))


def test_the_window_stays_above_what_is_drawn_below_it() -> None:
    compositor = Compositor(canvas_settings(), PipLayout(pip_participant_attribute="pip"))
    compositor.show_participants((composed("red"), composed("green", pip="true")))
    compositor.receive_picture("red", plain(RED), 0)
    compositor.receive_picture("green", plain(GREEN), 0)
    compositor.draw({})
    compositor.receive_picture("red", plain(BLUE), 1)
    frame = compositor.draw({})
    assert (color_at(frame, 100, 100), color_at(frame, 1000, 600)) == (BLUE, GREEN)


def test_a_frame_is_not_changed_by_later_ones() -> None:
    compositor = two()
    frame = compositor.draw({})
    compositor.receive_picture("red", plain(BLUE), 1)
    compositor.draw({})
    assert color_at(frame, *LEFT) == RED


def test_a_picture_is_scaled_once(scaled: list[PictureSize]) -> None:
    compositor = two()
    for _ in range(5):
        compositor.draw({})
    assert len(scaled) == 2


def test_only_the_newest_of_the_due_pictures_is_scaled(scaled: list[PictureSize]) -> None:
    compositor = two()
    for index in range(5):
        compositor.receive_picture("red", plain(BLUE), index + 1)
    assert color_at(compositor.draw({}), *LEFT) == BLUE
    assert len(scaled) == 2


def test_a_change_of_the_layout_scales_only_what_has_another_size(scaled: list[PictureSize]) -> None:
    compositor = two()
    compositor.show_participants((composed("red"), composed("green"), composed("blue")))
    compositor.draw({})
    compositor.show_participants((composed("green"), composed("red"), composed("blue")))
    compositor.draw({})
    assert len(scaled) == 2


@pytest.mark.parametrize(
    ("layout", "heights"),
    [
        (GRID, {"red": 360, "green": 360, "tall": 1138, "off": 360}),
        (
            GridLayout(grid_gap_pixels=0, video_fill_mode=VideoFillMode.CONTAIN),
            {"red": 360, "green": 360, "tall": 360, "off": 360},
        ),
        (
            GridLayout(grid_gap_pixels=0, video_fill_mode=VideoFillMode.FILL),
            {"red": 360, "green": 360, "tall": 360, "off": 360},
        ),
    ],
)
def test_a_picture_needs_so_many_lines_that_it_is_not_enlarged(layout: GridLayout, heights: dict[str, int]) -> None:
    compositor = two(layout)
    participants = (composed("red"), composed("green"), composed("tall"), composed("off", is_video_stopped=True))
    compositor.show_participants(participants)
    compositor.receive_picture("tall", plain(BLUE, 360, 640), 0)
    compositor.draw({})
    assert compositor.wanted_heights() == heights


@pytest.mark.parametrize(
    ("stopped", "heights"), [((), {"red": 360, "green": 360}), (("red",), {"red": 720, "green": 720})]
)
def test_stopped_video_that_is_omitted_goes_on_to_be_received(
    stopped: tuple[str, ...], heights: dict[str, int]
) -> None:
    compositor = two(GridLayout(grid_gap_pixels=0, omits_stopped_video=True))
    compositor.show_participants(tuple(composed(one, is_video_stopped=one in stopped) for one in ("red", "green")))
    compositor.draw({})
    assert compositor.wanted_heights() == heights


def test_a_picture_that_cannot_be_scaled_is_a_plain_tile() -> None:
    compositor = Compositor(
        canvas_settings(1920, 2),
        GridLayout(video_fill_mode=VideoFillMode.FILL, video_aspect_ratio=VideoAspectRatio.AUTO),
    )
    compositor.show_participants((composed("red"),))
    compositor.receive_picture("red", plain(RED, 2, 1080), 1)
    assert color_at(compositor.draw({}), 960, 0) == PLAIN


def test_every_canvas_can_be_drawn() -> None:
    for width, height in ((2, 2), (2, 1080), (1920, 2), (1080, 1920)):
        compositor = Compositor(canvas_settings(width, height), GridLayout())
        compositor.show_participants(tuple(composed(str(index)) for index in range(12)))
        for index, size in enumerate([(2, 2), (1920, 2), (2, 1080), (333, 111), (1, 1)]):
            compositor.receive_picture(str(index), plain(RED, *size), 0)
        assert np.shape(pixels(compositor.draw({}))[0]) == (height, width)
