"""What is true of every arrangement: rectangles in the canvas, nobody forgotten, no change without a reason."""

from itertools import combinations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.composition.layout.arrangement import arrange
from stagebook.media.composition.layout.layout_settings import GridLayout, Layout, PipLayout, VideoFillMode
from stagebook.media.composition.layout.placement import ArrangedParticipant, PictureSize
from tests.media.composition.layout.arranged import CANVASES, EXAMPLES, GRIDS, HD, PIPS, by_depth, participants, people

LAYOUTS = GRIDS | PIPS


@EXAMPLES
@given(participants(), LAYOUTS, CANVASES)
def test_each_rectangle_is_even_and_within_the_canvas(
    shown: list[ArrangedParticipant], layout: Layout, canvas: PictureSize
) -> None:
    for placement in arrange(shown, layout, canvas):
        rectangle = placement.rectangle
        assert min(rectangle.width, rectangle.height) >= 2
        assert min(rectangle.x, rectangle.y) >= 0
        assert rectangle.right <= canvas.width
        assert rectangle.bottom <= canvas.height
        assert not any(value % 2 for value in (rectangle.x, rectangle.y, rectangle.width, rectangle.height))


@EXAMPLES
@given(participants(), LAYOUTS, CANVASES)
def test_rectangles_of_one_depth_do_not_overlap(
    shown: list[ArrangedParticipant], layout: Layout, canvas: PictureSize
) -> None:
    placements = arrange(shown, layout, canvas)
    for depth in (0, 1):
        for one, other in combinations(by_depth(placements, depth), 2):
            assert not one.overlaps(other)
    assert [placement.depth for placement in placements] == sorted(placement.depth for placement in placements)


@EXAMPLES
@given(participants(), LAYOUTS)
def test_everybody_is_placed_once_but_those_who_are_omitted(shown: list[ArrangedParticipant], layout: Layout) -> None:
    placed = [placement.participant_id for placement in arrange(shown, layout, HD)]
    expected = [one.participant_id for one in shown if not (layout.omits_stopped_video and one.is_video_stopped)]
    assert sorted(placed) == sorted(expected)


@EXAMPLES
@given(participants(most=40), GRIDS)
def test_a_tiny_canvas_shows_somebody(shown: list[ArrangedParticipant], layout: GridLayout) -> None:
    layout = msgspec.structs.replace(layout, omits_stopped_video=False)
    assert len(arrange(shown, layout, PictureSize(width=2, height=2))) == min(len(shown), 1)


@EXAMPLES
@given(participants(), LAYOUTS, st.data())
def test_what_does_not_concern_the_layout_changes_nothing(
    shown: list[ArrangedParticipant], layout: Layout, data: st.DataObject
) -> None:
    """Other attributes, and stopped video unless it is omitted, leave everything where it is."""
    changed = [
        msgspec.structs.replace(
            one,
            attributes=one.attributes | {"other": data.draw(st.sampled_from(["true", "5"]))},
            is_video_stopped=one.is_video_stopped if layout.omits_stopped_video else data.draw(st.booleans()),
        )
        for one in shown
    ]
    assert arrange(changed, layout, HD) == arrange(shown, layout, HD)


@EXAMPLES
@given(participants(), GRIDS)
def test_the_size_of_a_picture_moves_no_tile_with_a_set_ratio(
    shown: list[ArrangedParticipant], layout: GridLayout
) -> None:
    layout = msgspec.structs.replace(layout, video_aspect_ratio=GridLayout().video_aspect_ratio)
    without = [msgspec.structs.replace(one, picture_size=None) for one in shown]
    assert arrange(without, layout, HD) == arrange(shown, layout, HD)


@pytest.mark.parametrize(
    ("fill_mode", "featured", "tile"),
    [(None, VideoFillMode.CONTAIN, VideoFillMode.COVER), *[(mode, mode, mode) for mode in VideoFillMode]],
)
def test_the_fill_mode_of_a_grid_that_is_not_set_is_contain_for_who_is_featured(
    fill_mode: VideoFillMode | None, featured: VideoFillMode, tile: VideoFillMode
) -> None:
    layout = GridLayout(video_fill_mode=fill_mode, featured_participant_attribute="featured")
    placements = arrange(people(3, featured={1: "true"}), layout, HD)
    assert {one.participant_id: one.fill_mode for one in placements} == {"p1": featured, "p0": tile, "p2": tile}


def test_a_picture_in_picture_has_one_fill_mode() -> None:
    layout = PipLayout(
        video_fill_mode=VideoFillMode.FILL, featured_participant_attribute="featured", pip_participant_attribute="pip"
    )
    placements = arrange(people(3, featured={0: "true"}, pip={1: "true"}), layout, HD)
    assert {placement.fill_mode for placement in placements} == {VideoFillMode.FILL}


def test_an_empty_stage_is_an_empty_canvas() -> None:
    assert arrange([], GridLayout(), HD) == arrange([], PipLayout(), HD) == ()
