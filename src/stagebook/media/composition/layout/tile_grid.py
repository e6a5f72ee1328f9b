"""Tiles of equal size in an area, and the featured slot beside them.

The AWS documentation shows the layouts only in pictures, so the arithmetic is this module's choice:

* The number of columns is the one with the largest tiles. If several are equal, a landscape canvas has the longest rows
  and another one the shortest. The last row may be shorter, and is centred. So is the whole grid.
* With a featured participant, the others form a strip of a quarter of the canvas, at the right of a landscape canvas
  and at the bottom of another one. The featured slot has the rest; it grows if the strip's tiles need less than a
  quarter.
* Tiles without an aspect ratio of their own (AUTO) fill the area; the number of columns is the one whose tiles are
  nearest to the shapes of the pictures. In a strip they have the mean shape of the pictures.
* A gap that is odd is one pixel wider, as all positions are even. A gap that leaves no room for tiles is narrowed.
* A canvas without room for tiles of 2 by 2 pixels shows as many participants as fit.
"""

import math
from collections.abc import Sequence

import msgspec

from stagebook.media.composition.layout.layout_settings import VideoAspectRatio
from stagebook.media.composition.layout.placement import ArrangedParticipant, PictureSize, Rectangle, even, whole

RATIOS: dict[VideoAspectRatio, float | None] = {
    VideoAspectRatio.AUTO: None,
    VideoAspectRatio.VIDEO: 16 / 9,
    VideoAspectRatio.SQUARE: 1.0,
    VideoAspectRatio.PORTRAIT: 3 / 4,
}
"""The aspect ratios of tiles (API reference, GridConfiguration.videoAspectRatio). None: tiles that fill the area."""
UNKNOWN_RATIO = 16 / 9
"""The aspect ratio of a picture that nobody has seen."""
STRIP_SHARE = 4
"""The part of the canvas for those who are not featured: one in four."""
SMALLEST = 2
"""The smallest width and height of a tile."""


class TileStyle(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say about tiles."""

    ratio: VideoAspectRatio
    gap_pixels: int


class TileSize(msgspec.Struct, frozen=True, kw_only=True):
    """The tiles of one choice of columns."""

    columns: int
    rows: int
    width: int
    height: int
    gap: int


def tile_rectangles(participants: Sequence[ArrangedParticipant], area: Rectangle, style: TileStyle) -> list[Rectangle]:
    """Return one rectangle for each participant, row by row; fewer if the area has no room for all."""
    return _tiles(participants, area, RATIOS[style.ratio], style.gap_pixels)


def featured_areas(
    others: Sequence[ArrangedParticipant],
    canvas: PictureSize,
    style: TileStyle,
    *,
    strip_is_first: bool,
) -> tuple[Rectangle, list[Rectangle]]:
    """Return the featured slot, and the rectangles of the others.

    The others are at the right or at the bottom; with `strip_is_first` at the left or at the top.
    """
    is_landscape = canvas.width > canvas.height
    length = canvas.width if is_landscape else canvas.height
    strip = even(length / STRIP_SHARE)
    if not others or strip < SMALLEST or length - strip < SMALLEST:
        return whole(canvas), []
    area = _slice(canvas, 0, strip, is_landscape=is_landscape)
    tiles = _tiles(others, area, RATIOS[style.ratio] or _mean_ratio(others), style.gap_pixels)
    start = min(tile.x if is_landscape else tile.y for tile in tiles)
    used = max(tile.right if is_landscape else tile.bottom for tile in tiles) - start
    gap = min(_even_up(style.gap_pixels), length - used - SMALLEST)
    offset = -start if strip_is_first else length - used - start
    moved = [_moved(tile, offset, is_landscape=is_landscape) for tile in tiles]
    slot_start = used + gap if strip_is_first else 0
    return _slice(canvas, slot_start, length - used - gap, is_landscape=is_landscape), moved


def _tiles(
    participants: Sequence[ArrangedParticipant], area: Rectangle, ratio: float | None, gap_pixels: int
) -> list[Rectangle]:
    count = min(len(participants), (area.width // SMALLEST) * (area.height // SMALLEST))
    if count < 1:
        return []
    sizes = [_tile_size(count, columns, area, ratio, gap_pixels) for columns in range(1, count + 1)]
    possible = [size for size in sizes if size is not None]
    is_landscape = area.width >= area.height

    def quality(size: TileSize) -> tuple[float, int]:
        fit = size.width * size.height if ratio is not None else -round(_misfit(participants, size), 6)
        return fit, size.columns if is_landscape else size.rows

    return _positions(count, max(possible, key=quality), area)


def _tile_size(count: int, columns: int, area: Rectangle, ratio: float | None, gap_pixels: int) -> TileSize | None:
    rows = math.ceil(count / columns)
    gap = _even_up(gap_pixels)
    if columns > 1:
        gap = min(gap, even((area.width - columns * SMALLEST) / (columns - 1)))
    if rows > 1:
        gap = min(gap, even((area.height - rows * SMALLEST) / (rows - 1)))
    if gap < 0 or columns * SMALLEST > area.width or rows * SMALLEST > area.height:
        return None
    width = (area.width - gap * (columns - 1)) / columns
    height = (area.height - gap * (rows - 1)) / rows
    if ratio is not None:
        width, height = min(width, height * ratio), min(height, width / ratio)
    return TileSize(
        columns=columns, rows=rows, width=max(even(width), SMALLEST), height=max(even(height), SMALLEST), gap=gap
    )


def _misfit(participants: Sequence[ArrangedParticipant], size: TileSize) -> float:
    """Return how far the tiles are from the shapes of the pictures: 0 if nothing of them must be cropped."""
    return sum(abs(math.log(size.width / size.height / _picture_ratio(one))) for one in participants)


def _mean_ratio(participants: Sequence[ArrangedParticipant]) -> float:
    return math.exp(sum(math.log(_picture_ratio(one)) for one in participants) / len(participants))


def _picture_ratio(participant: ArrangedParticipant) -> float:
    return participant.picture_size.ratio if participant.picture_size is not None else UNKNOWN_RATIO


def _positions(count: int, size: TileSize, area: Rectangle) -> list[Rectangle]:
    top = area.y + even((area.height - _extent(size.rows, size.height, size.gap)) / 2)
    rectangles = []
    for row in range(size.rows):
        in_row = min(size.columns, count - row * size.columns)
        left = area.x + even((area.width - _extent(in_row, size.width, size.gap)) / 2)
        y = top + row * (size.height + size.gap)
        rectangles += [
            Rectangle(x=left + column * (size.width + size.gap), y=y, width=size.width, height=size.height)
            for column in range(in_row)
        ]
    return rectangles


def _extent(count: int, size: int, gap: int) -> int:
    return count * size + (count - 1) * gap


def _even_up(value: int) -> int:
    return value + value % 2


def _slice(canvas: PictureSize, start: int, length: int, *, is_landscape: bool) -> Rectangle:
    if is_landscape:
        return Rectangle(x=start, y=0, width=length, height=canvas.height)
    return Rectangle(x=0, y=start, width=canvas.width, height=length)


def _moved(tile: Rectangle, offset: int, *, is_landscape: bool) -> Rectangle:
    dx, dy = (offset, 0) if is_landscape else (0, offset)
    return Rectangle(x=tile.x + dx, y=tile.y + dy, width=tile.width, height=tile.height)
