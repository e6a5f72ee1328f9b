"""The window of a picture-in-picture layout, and what is behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.composition.layout.arrangement import arrange
from stagebook.media.composition.layout.layout_settings import PipBehavior, PipLayout, PipPosition
from stagebook.media.composition.layout.pip_window import window_rectangle
from stagebook.media.composition.layout.placement import ArrangedParticipant, PictureSize
from tests.media.composition.layout.arranged import CANVASES, EXAMPLES, HD, PIPS, PORTRAIT, box, people, rectangles

PIP = PipLayout(pip_participant_attribute="pip", featured_participant_attribute="featured")
WIDE = PictureSize(width=1920, height=1080)
TALL = PictureSize(width=1080, height=1920)


@pytest.mark.parametrize(
    ("position", "corner"),
    [
        (PipPosition.TOP_LEFT, (20, 20)),
        (PipPosition.TOP_RIGHT, (940, 20)),
        (PipPosition.BOTTOM_LEFT, (20, 520)),
        (PipPosition.BOTTOM_RIGHT, (940, 520)),
    ],
)
def test_the_offset_is_from_both_edges_of_the_corner(position: PipPosition, corner: tuple[int, int]) -> None:
    layout = PipLayout(pip_position=position, pip_offset_pixels=20)
    assert box(window_rectangle(layout, HD, WIDE)) == (*corner, 320, 180)


@pytest.mark.parametrize(
    ("width", "height", "picture", "size"),
    [
        (None, None, WIDE, (320, 180)),
        (None, None, None, (320, 180)),
        (None, None, TALL, (180, 320)),
        (400, None, WIDE, (400, 224)),
        (None, 360, WIDE, (640, 360)),
        (400, None, TALL, (400, 710)),
        (600, None, TALL, (404, 720)),
        (400, 400, WIDE, (400, 400)),
        (301, 1, WIDE, (300, 2)),
        (5000, 5000, WIDE, (1280, 720)),
    ],
)
def test_a_size_that_is_not_set_follows_the_canvas_and_the_picture(
    width: int | None, height: int | None, picture: PictureSize | None, size: tuple[int, int]
) -> None:
    layout = PipLayout(pip_width_pixels=width, pip_height_pixels=height)
    assert box(window_rectangle(layout, HD, picture))[2:] == size


@EXAMPLES
@given(PIPS, CANVASES, st.builds(PictureSize, width=st.integers(1, 4000), height=st.integers(1, 4000)))
def test_the_window_has_the_ratio_of_the_picture_within_rounding(
    layout: PipLayout, canvas: PictureSize, picture: PictureSize
) -> None:
    window = window_rectangle(layout, canvas, picture)
    is_derived = layout.pip_width_pixels is None or layout.pip_height_pixels is None
    if is_derived and min(window.width, window.height) > 2:
        assert -2 <= window.width - window.height * picture.ratio <= 2 * picture.ratio


def test_a_window_without_room_is_made_smaller() -> None:
    layout = PipLayout(pip_offset_pixels=700, pip_width_pixels=400, pip_height_pixels=400)
    assert box(window_rectangle(layout, HD, WIDE)) == (180, 0, 400, 20)


@pytest.mark.parametrize("position", PipPosition)
def test_an_offset_beyond_the_canvas_leaves_the_smallest_window(position: PipPosition) -> None:
    window = window_rectangle(PipLayout(pip_offset_pixels=10**6, pip_position=position), HD, WIDE)
    assert (window.width, window.height) == (2, 2)
    assert (window.x in (0, 1278), window.y in (0, 718)) == (True, True)


def test_the_window_is_above_the_others_who_fill_the_canvas() -> None:
    placements = arrange(people(3, pip={1: "true"}), PIP, HD)
    assert [(one.participant_id, one.depth, box(one.rectangle)) for one in placements] == [
        ("p0", 0, (0, 0, 640, 720)),
        ("p2", 0, (640, 0, 640, 720)),
        ("p1", 1, (960, 540, 320, 180)),
    ]


def test_the_strip_beside_who_is_featured_is_away_from_the_window() -> None:
    shown = people(3, featured={0: "true"}, pip={1: "true"})
    assert rectangles(shown, PIP) == {
        "p0": (320, 0, 960, 720),
        "p2": (0, 270, 320, 180),
        "p1": (960, 540, 320, 180),
    }
    assert rectangles(shown, PIP, PORTRAIT)["p2"][:2] == (76, 0)


@pytest.mark.parametrize(
    ("behavior", "window"), [(PipBehavior.STATIC, (960, 540, 320, 180)), (PipBehavior.DYNAMIC, (0, 0, 1280, 720))]
)
def test_the_behavior_says_what_the_window_does_when_all_others_have_left(
    behavior: PipBehavior, window: tuple[int, int, int, int]
) -> None:
    layout = PipLayout(pip_participant_attribute="pip", pip_behavior=behavior)
    assert rectangles(people(1, pip={0: "true"}), layout) == {"p0": window}


@pytest.mark.parametrize("behavior", PipBehavior)
def test_the_window_keeps_its_place_as_long_as_somebody_else_is_there(behavior: PipBehavior) -> None:
    layout = PipLayout(pip_participant_attribute="pip", pip_behavior=behavior)
    assert rectangles(people(2, pip={0: "true"}), layout)["p0"] == (960, 540, 320, 180)


def test_an_omitted_participant_is_nobody_else() -> None:
    layout = PipLayout(pip_participant_attribute="pip", pip_behavior=PipBehavior.DYNAMIC, omits_stopped_video=True)
    shown = [
        ArrangedParticipant(participant_id="p0", attributes={"pip": "true"}),
        ArrangedParticipant(participant_id="p1", is_video_stopped=True),
    ]
    assert rectangles(shown, layout) == {"p0": (0, 0, 1280, 720)}


def test_who_is_featured_is_not_in_the_window() -> None:
    shown = people(2, featured={0: "true"}, pip={0: "true", 1: "true"})
    assert rectangles(shown, PIP)["p1"] == (960, 540, 320, 180)


def test_without_a_marked_participant_there_is_no_window() -> None:
    assert {placement.depth for placement in arrange(people(3), PIP, HD)} == {0}
