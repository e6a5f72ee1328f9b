"""The tiles of a grid: equal, as large as possible, apart by the gap; and the featured slot."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.composition.layout.arrangement import arrange
from stagebook.media.composition.layout.layout_settings import GridLayout, VideoAspectRatio
from stagebook.media.composition.layout.placement import ArrangedParticipant, PictureSize, Rectangle
from stagebook.media.composition.layout.tile_grid import RATIOS
from tests.media.composition.layout.arranged import (
    CANVASES,
    EXAMPLES,
    GRIDS,
    HD,
    PORTRAIT,
    participants,
    people,
    rectangles,
)

FEATURED = GridLayout(featured_participant_attribute="featured")


def tiles(shown: list[ArrangedParticipant], layout: GridLayout, canvas: PictureSize) -> list[Rectangle]:
    """Return the rectangles of those who are not featured."""
    placements = arrange(shown, layout, canvas)
    attribute = layout.featured_participant_attribute
    is_featured = any(
        attribute and one.attributes.get(attribute) == "true"
        for one in shown
        if not (layout.omits_stopped_video and one.is_video_stopped)
    )
    return [placement.rectangle for placement in placements[1 if is_featured else 0 :]]


@EXAMPLES
@given(participants(), GRIDS, CANVASES)
def test_tiles_are_equal(shown: list[ArrangedParticipant], layout: GridLayout, canvas: PictureSize) -> None:
    assert len({(tile.width, tile.height) for tile in tiles(shown, layout, canvas)}) <= 1


@EXAMPLES
@given(participants(), GRIDS, CANVASES)
def test_tiles_have_their_ratio_within_rounding(
    shown: list[ArrangedParticipant], layout: GridLayout, canvas: PictureSize
) -> None:
    ratio = RATIOS[layout.video_aspect_ratio]
    for tile in tiles(shown, layout, canvas):
        if ratio is not None and min(tile.width, tile.height) > 2:
            assert -2 <= tile.width - tile.height * ratio <= 2 * ratio


@EXAMPLES
@given(st.integers(1, 16), st.integers(0, 60), st.sampled_from(VideoAspectRatio), st.sampled_from([HD, PORTRAIT]))
def test_tiles_are_apart_by_the_gap(count: int, gap: int, ratio: VideoAspectRatio, canvas: PictureSize) -> None:
    layout = GridLayout(grid_gap_pixels=gap, video_aspect_ratio=ratio)
    placed = tiles(people(count), layout, canvas)
    rows = [[tile for tile in placed if tile.y == y] for y in sorted({tile.y for tile in placed})]
    beside = {right.x - left.right for row in rows for left, right in pairwise(row)}
    below = {lower[0].y - upper[0].bottom for upper, lower in pairwise(rows)}
    assert beside | below <= {gap + gap % 2}


@EXAMPLES
@given(st.integers(1, 16), st.integers(0, 20), st.sampled_from([HD, PORTRAIT]))
def test_no_other_number_of_columns_has_larger_tiles(count: int, gap: int, canvas: PictureSize) -> None:
    """Compares with the exact size of the tiles in each number of columns."""
    first = tiles(people(count), GridLayout(grid_gap_pixels=gap), canvas)[0]
    even_gap = gap + gap % 2
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        width = (canvas.width - even_gap * (columns - 1)) / columns
        height = (canvas.height - even_gap * (rows - 1)) / rows
        assert first.width > min(width, height * 16 / 9) - 2


@pytest.mark.parametrize(
    ("canvas", "columns"),
    [(HD, (1, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4)), (PORTRAIT, (1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2))],
)
def test_the_rows_of_1_to_13_participants(canvas: PictureSize, columns: tuple[int, ...]) -> None:
    longest = []
    for count in range(1, 14):
        placed = tiles(people(count), GridLayout(), canvas)
        longest.append(max(sum(tile.y == y for tile in placed) for y in {tile.y for tile in placed}))
    assert tuple(longest) == columns


def test_the_last_row_and_the_grid_are_centred() -> None:
    assert rectangles(people(3), GridLayout(grid_gap_pixels=0)) == {
        "p0": (0, 0, 640, 360),
        "p1": (640, 0, 640, 360),
        "p2": (320, 360, 640, 360),
    }


def test_tiles_without_a_ratio_fill_the_canvas() -> None:
    layout = GridLayout(video_aspect_ratio=VideoAspectRatio.AUTO, grid_gap_pixels=0)
    assert rectangles(people(2), layout) == {"p0": (0, 0, 640, 720), "p1": (640, 0, 640, 720)}


def test_tiles_without_a_ratio_follow_the_shapes_of_the_pictures() -> None:
    layout = GridLayout(video_aspect_ratio=VideoAspectRatio.AUTO, grid_gap_pixels=0)
    wide = [
        ArrangedParticipant(participant_id=f"p{index}", picture_size=PictureSize(width=1280, height=360))
        for index in range(2)
    ]
    assert rectangles(wide, layout) == {"p0": (0, 0, 1280, 360), "p1": (0, 360, 1280, 360)}


def test_who_is_featured_has_the_canvas_but_for_a_strip_at_its_right() -> None:
    assert rectangles(people(3, featured={1: "true"}), FEATURED) == {
        "p1": (0, 0, 958, 720),
        "p0": (960, 178, 320, 180),
        "p2": (960, 360, 320, 180),
    }


def test_the_strip_of_a_portrait_canvas_is_at_its_bottom() -> None:
    assert rectangles(people(3, featured={1: "true"}), FEATURED, PORTRAIT) == {
        "p1": (0, 0, 720, 1078),
        "p0": (0, 1080, 358, 200),
        "p2": (360, 1080, 358, 200),
    }


def test_who_is_featured_and_alone_has_the_whole_canvas() -> None:
    assert rectangles(people(1, featured={0: "true"}), FEATURED) == {"p0": (0, 0, 1280, 720)}


def test_the_order_decides_who_of_several_is_featured() -> None:
    layout = GridLayout(featured_participant_attribute="featured", participant_order_attribute="order")
    shown = people(3, featured={0: "true", 2: "true"}, order={0: "5", 2: "4"})
    assert arrange(shown, layout, HD)[0].participant_id == "p2"


@EXAMPLES
@given(participants(most=13), GRIDS)
def test_the_featured_slot_is_larger_than_a_tile(shown: list[ArrangedParticipant], layout: GridLayout) -> None:
    placements = [placement.rectangle for placement in arrange(shown, layout, HD)]
    placed = tiles(shown, layout, HD)
    if 0 < len(placed) < len(placements) and layout.grid_gap_pixels < 100:
        assert placements[0].width * placements[0].height > placed[0].width * placed[0].height
