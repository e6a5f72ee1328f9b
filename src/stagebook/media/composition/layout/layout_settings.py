"""The settings of a layout (API reference, GridConfiguration and PipConfiguration)."""

from enum import StrEnum
from typing import TypeAlias

import msgspec


class VideoAspectRatio(StrEnum):
    """Shape VideoAspectRatio: the aspect ratio of the tiles."""

    AUTO = "AUTO"
    VIDEO = "VIDEO"
    SQUARE = "SQUARE"
    PORTRAIT = "PORTRAIT"


class VideoFillMode(StrEnum):
    """Shape VideoFillMode: how a picture with another aspect ratio is put into its rectangle."""

    FILL = "FILL"
    COVER = "COVER"
    CONTAIN = "CONTAIN"


class PipBehavior(StrEnum):
    """Shape PipBehavior."""

    STATIC = "STATIC"
    DYNAMIC = "DYNAMIC"


class PipPosition(StrEnum):
    """Shape PipPosition: the corner of the inner picture."""

    TOP_LEFT = "TOP_LEFT"
    TOP_RIGHT = "TOP_RIGHT"
    BOTTOM_LEFT = "BOTTOM_LEFT"
    BOTTOM_RIGHT = "BOTTOM_RIGHT"


class GridLayout(msgspec.Struct, frozen=True, kw_only=True, tag="grid"):
    """Tiles of equal size, and one featured participant if there is one. An empty string is an unset attribute."""

    featured_participant_attribute: str = ""
    omits_stopped_video: bool = False
    video_aspect_ratio: VideoAspectRatio = VideoAspectRatio.VIDEO
    video_fill_mode: VideoFillMode | None = None
    """None: COVER for tiles, CONTAIN for the featured participant."""
    grid_gap_pixels: int = 2
    participant_order_attribute: str = ""


class PipLayout(msgspec.Struct, frozen=True, kw_only=True, tag="pip"):
    """One picture that fills the canvas, and a small one in a corner."""

    featured_participant_attribute: str = ""
    omits_stopped_video: bool = False
    video_fill_mode: VideoFillMode = VideoFillMode.COVER
    grid_gap_pixels: int = 0
    pip_participant_attribute: str = ""
    pip_behavior: PipBehavior = PipBehavior.STATIC
    pip_position: PipPosition = PipPosition.BOTTOM_RIGHT
    pip_offset_pixels: int = 0
    pip_width_pixels: int | None = None
    pip_height_pixels: int | None = None
    participant_order_attribute: str = ""


Layout: TypeAlias = GridLayout | PipLayout
