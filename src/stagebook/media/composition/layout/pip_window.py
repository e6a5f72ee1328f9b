"""The window of a picture-in-picture layout: its size and its corner.

The AWS documentation says of a width or height that is not set that it follows the canvas and the participant's
picture. Here the window then has the picture's aspect ratio, and a sixteenth of the canvas's pixels: 320x180 on
1280x720.
"""

import math

from stagebook.media.composition.layout.layout_settings import PipLayout, PipPosition
from stagebook.media.composition.layout.placement import PictureSize, Rectangle, even
from stagebook.media.composition.layout.tile_grid import SMALLEST, UNKNOWN_RATIO

WINDOW_SHARE = 16
"""The part of the canvas's pixels for a window without a set size: one in sixteen."""
RIGHT = frozenset({PipPosition.TOP_RIGHT, PipPosition.BOTTOM_RIGHT})
BOTTOM = frozenset({PipPosition.BOTTOM_LEFT, PipPosition.BOTTOM_RIGHT})


def window_rectangle(layout: PipLayout, canvas: PictureSize, picture: PictureSize | None) -> Rectangle:
    """Return the window, moved and made smaller where it would leave the canvas."""
    offset = even(layout.pip_offset_pixels)
    offset_x = max(min(offset, even(canvas.width) - SMALLEST), 0)
    offset_y = max(min(offset, even(canvas.height) - SMALLEST), 0)
    room = PictureSize(width=canvas.width - offset_x, height=canvas.height - offset_y)
    width, height = _window_size(layout, canvas, room, picture.ratio if picture else UNKNOWN_RATIO)
    is_right, is_bottom = layout.pip_position in RIGHT, layout.pip_position in BOTTOM
    x = canvas.width - offset_x - width if is_right else offset_x
    y = canvas.height - offset_y - height if is_bottom else offset_y
    return Rectangle(x=x, y=y, width=width, height=height)


def _window_size(layout: PipLayout, canvas: PictureSize, room: PictureSize, ratio: float) -> tuple[int, int]:
    width, height = layout.pip_width_pixels, layout.pip_height_pixels
    if width is not None and height is not None:
        return _bounded(width, room.width), _bounded(height, room.height)
    if width is not None:
        wanted = float(width)
    elif height is not None:
        wanted = height * ratio
    else:
        wanted = math.sqrt(canvas.width * canvas.height / WINDOW_SHARE * ratio)
    fitting = min(wanted, room.width, room.height * ratio)
    return _bounded(fitting, room.width), _bounded(fitting / ratio, room.height)


def _bounded(value: float, most: int) -> int:
    return max(min(even(value), even(most)), SMALLEST)
