"""The canvas of a composition: planar YCbCr 4:2:0 with 8 bits, in limited range (ITU-R BT.709, section 3)."""

import av
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from stagebook.media.composition.layout.placement import PictureSize, Rectangle

BLACK = (16, 128, 128)
"""Y, Cb and Cr of what no participant covers."""
PLAIN = (52, 128, 128)
"""Y, Cb and Cr of a tile without a picture: a dark grey."""

Plane = NDArray[np.uint8]


def planes_of(frame: av.VideoFrame) -> tuple[Plane, ...]:
    """Return the planes of a frame as views of its memory, without the padding of its lines."""
    planes = []
    for plane in frame.planes:
        lines = np.frombuffer(memoryview(plane), np.uint8)[: plane.height * plane.line_size]
        planes.append(lines.reshape(plane.height, plane.line_size)[:, : plane.width])
    return tuple(planes)


class Canvas:
    """Three planes that keep what was drawn until something else is drawn over it."""

    def __init__(self, size: PictureSize) -> None:
        self.size = size
        height, width = size.height, size.width
        self._planes = tuple(np.empty(shape, np.uint8) for shape in ((height, width), *[(height // 2, width // 2)] * 2))
        self.clear()

    def clear(self) -> None:
        """Make everything black."""
        self.fill(Rectangle(x=0, y=0, width=self.size.width, height=self.size.height), BLACK)

    def fill(self, rectangle: Rectangle, color: tuple[int, int, int]) -> None:
        """Fill a rectangle with one color, given as Y, Cb and Cr."""
        for part, value in zip(self._parts(rectangle), color, strict=True):
            part[:] = value

    def paste(self, picture: av.VideoFrame, rectangle: Rectangle) -> None:
        """Draw a picture in the format yuv420p into a rectangle of its size."""
        for part, plane in zip(self._parts(rectangle), planes_of(picture), strict=True):
            part[:] = plane

    def to_frame(self) -> av.VideoFrame:
        """Return a copy of the canvas, in the format yuv420p."""
        frame = av.VideoFrame(self.size.width, self.size.height, "yuv420p")
        frame.color_range = ColorRange.MPEG
        for target, plane in zip(planes_of(frame), self._planes, strict=True):
            target[:] = plane
        return frame

    def _parts(self, rectangle: Rectangle) -> tuple[Plane, ...]:
        """Return the parts of the planes that belong to a rectangle with even positions and sizes."""
        whole = np.s_[rectangle.y : rectangle.bottom, rectangle.x : rectangle.right]
        half = np.s_[rectangle.y // 2 : rectangle.bottom // 2, rectangle.x // 2 : rectangle.right // 2]
        luma, blue, red = self._planes
        return luma[whole], blue[half], red[half]
