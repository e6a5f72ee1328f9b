"""What `arrange` takes and returns: participants, and rectangles on the canvas in which they are drawn.

All positions and sizes are even: pictures are 4:2:0, whose chroma planes have half the width and height.
"""

import msgspec

from stagebook.media.composition.layout.layout_settings import VideoFillMode


class PictureSize(msgspec.Struct, frozen=True, kw_only=True):
    """A width and a height in pixels."""

    width: int
    height: int

    @property
    def ratio(self) -> float:
        """The width divided by the height."""
        return self.width / self.height


class Rectangle(msgspec.Struct, frozen=True, kw_only=True):
    """A rectangle in pixels, from the left and the top of the canvas."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column to the right of it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.height

    def overlaps(self, other: "Rectangle") -> bool:
        """Return whether the two have a pixel in common."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom


class ArrangedParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """What a layout needs to know about a publisher. Its position in a sequence is its order of arrival."""

    participant_id: str
    attributes: dict[str, str] = {}
    is_video_stopped: bool = False
    """Also true for a publisher without video, and for one that is rendered audio only."""
    picture_size: PictureSize | None = None
    """The size of its newest picture. None: no picture yet; the layout takes it for 16:9."""


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how a participant is drawn."""

    participant_id: str
    rectangle: Rectangle
    fill_mode: VideoFillMode
    depth: int
    """Placements are drawn in ascending depth: 1 is above 0. Rectangles of equal depth do not overlap."""


def even(value: float) -> int:
    """Return the greatest even number that is not above `value`."""
    return int(value // 2) * 2


def whole(canvas: PictureSize) -> Rectangle:
    """Return the rectangle of the whole canvas."""
    return Rectangle(x=0, y=0, width=canvas.width, height=canvas.height)
