"""The layout as a pure function: participants, settings and canvas to rectangles."""

from collections.abc import Sequence

from stagebook.media.composition.layout.layout_settings import (
    GridLayout,
    Layout,
    PipBehavior,
    PipLayout,
    VideoAspectRatio,
    VideoFillMode,
)
from stagebook.media.composition.layout.participant_order import shown_in_order, take_marked
from stagebook.media.composition.layout.pip_window import BOTTOM, RIGHT, window_rectangle
from stagebook.media.composition.layout.placement import ArrangedParticipant, PictureSize, Placement, Rectangle, whole
from stagebook.media.composition.layout.tile_grid import TileStyle, featured_areas, tile_rectangles


def arrange(participants: Sequence[ArrangedParticipant], layout: Layout, canvas: PictureSize) -> tuple[Placement, ...]:
    """Return where each participant is drawn, in the order of drawing.

    `participants` are in the order of their arrival; `canvas` has even sizes of at least 2 pixels. A participant is
    without a placement if the layout omits it, or if the canvas has no room for a tile of 2 by 2 pixels. The meaning of
    the settings is that of the API reference (GridConfiguration, PipConfiguration).
    """
    shown = shown_in_order(
        participants,
        order_attribute=layout.participant_order_attribute,
        omits_stopped_video=layout.omits_stopped_video,
    )
    return _grid(shown, layout, canvas) if isinstance(layout, GridLayout) else _pip(shown, layout, canvas)


def _grid(shown: list[ArrangedParticipant], layout: GridLayout, canvas: PictureSize) -> tuple[Placement, ...]:
    featured = take_marked(shown, layout.featured_participant_attribute)
    style = TileStyle(ratio=layout.video_aspect_ratio, gap_pixels=layout.grid_gap_pixels)
    slot, tiles = _areas(featured, shown, canvas, style)
    return (
        *_placed(featured, slot, layout.video_fill_mode or VideoFillMode.CONTAIN),
        *_placed(shown, tiles, layout.video_fill_mode or VideoFillMode.COVER),
    )


def _pip(shown: list[ArrangedParticipant], layout: PipLayout, canvas: PictureSize) -> tuple[Placement, ...]:
    """Draw a window above a grid of all others that fills the canvas. A featured participant is not in the window."""
    featured = take_marked(shown, layout.featured_participant_attribute)
    inner = take_marked(shown, layout.pip_participant_attribute)
    style = TileStyle(ratio=VideoAspectRatio.AUTO, gap_pixels=layout.grid_gap_pixels)
    covered_sides = (RIGHT if canvas.width > canvas.height else BOTTOM) if inner else frozenset()
    slot, tiles = _areas(featured, shown, canvas, style, strip_is_first=layout.pip_position in covered_sides)
    background = _placed(featured, slot, layout.video_fill_mode) + _placed(shown, tiles, layout.video_fill_mode)
    if not inner:
        return background
    window = window_rectangle(layout, canvas, inner[0].picture_size)
    if not background and layout.pip_behavior is PipBehavior.DYNAMIC:
        window = whole(canvas)
    return background + _placed(inner, [window], layout.video_fill_mode, depth=1)


def _areas(
    featured: Sequence[ArrangedParticipant],
    others: Sequence[ArrangedParticipant],
    canvas: PictureSize,
    style: TileStyle,
    *,
    strip_is_first: bool = False,
) -> tuple[list[Rectangle], list[Rectangle]]:
    """Return the featured slot, if somebody is featured, and the tiles of the others."""
    if not featured:
        return [], tile_rectangles(others, whole(canvas), style)
    slot, tiles = featured_areas(others, canvas, style, strip_is_first=strip_is_first)
    return [slot], tiles


def _placed(
    participants: Sequence[ArrangedParticipant],
    rectangles: Sequence[Rectangle],
    fill_mode: VideoFillMode,
    *,
    depth: int = 0,
) -> tuple[Placement, ...]:
    """Give each participant its rectangle, as long as there are any."""
    return tuple(
        Placement(participant_id=one.participant_id, rectangle=rectangle, fill_mode=fill_mode, depth=depth)
        for one, rectangle in zip(participants, rectangles, strict=False)
    )
