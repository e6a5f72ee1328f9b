"""Pictures of one color or of a few, and readers of what was drawn from them."""

from collections.abc import Iterable

import av
import numpy as np

from stagebook.media.composition.composition_port import CanvasSettings, ComposedParticipant
from stagebook.media.composition.drawing.canvas import Plane, planes_of

Color = tuple[int, int, int]
RED: Color = (81, 90, 240)
GREEN: Color = (145, 54, 34)
BLUE: Color = (41, 240, 110)


def canvas_settings(width: int = 1280, height: int = 720) -> CanvasSettings:
    """Return a canvas at 30 frames per second."""
    return CanvasSettings(width=width, height=height, frames_per_second=30, bitrate_bps=2_500_000)


def plain(color: Color, width: int = 640, height: int = 360) -> av.VideoFrame:
    """Return a picture of one color."""
    picture = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(planes_of(picture), color, strict=True):
        plane[:] = value
    return picture


def columns(colors: Iterable[Color], width: int = 640, height: int = 360) -> av.VideoFrame:
    """Return a picture of equally wide columns."""
    picture = plain((16, 128, 128), width, height)
    for index, color in enumerate(colors):
        for plane, value in zip(planes_of(picture), color, strict=True):
            step = plane.shape[1] // len(list(colors))
            plane[:, index * step : (index + 1) * step] = value
    return picture


def color_at(frame: av.VideoFrame, x: int, y: int) -> Color:
    """Return Y, Cb and Cr of a pixel."""
    luma, blue, red = planes_of(frame)
    return int(luma[y, x]), int(blue[y // 2, x // 2]), int(red[y // 2, x // 2])


def pixels(frame: av.VideoFrame) -> tuple[Plane, ...]:
    """Return copies of the planes."""
    return tuple(np.array(plane) for plane in planes_of(frame))


def composed(participant_id: str, *, is_video_stopped: bool = False, **attributes: str) -> ComposedParticipant:
    """Return a publisher."""
    return ComposedParticipant(
        participant_id=participant_id,
        source_id=f"{participant_id}-source",
        attributes=attributes,
        is_video_stopped=is_video_stopped,
    )
