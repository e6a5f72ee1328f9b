"""Scales one participant's pictures with swscale.

COVER crops the picture before it is scaled: what is cropped costs no scaling. A scaler is made for one participant,
because swscale keeps its tables for one pair of sizes.
"""

import av
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from stagebook.media.composition.drawing.canvas import planes_of
from stagebook.media.composition.layout.layout_settings import VideoFillMode
from stagebook.media.composition.layout.placement import PictureSize, Rectangle, even

NEARLY = 1.02
"""A picture that is larger than its rectangle by no more than this factor is not scaled."""
_INTERPOLATION = Interpolation.AREA
"""Averages the pixels that become one, and is bilinear where a picture is enlarged. It costs less than the others."""
_FORMAT = "yuv420p"


class PictureScaler:
    """Scales pictures to rectangles."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def scale(self, picture: av.VideoFrame, room: PictureSize, fill_mode: VideoFillMode) -> av.VideoFrame:
        """Return `picture` in the format yuv420p, as large as `room`, or smaller if it is letterboxed."""
        source = PictureSize(width=picture.width, height=picture.height)
        if fill_mode is VideoFillMode.CONTAIN:
            room = letterboxed(source, room)
        elif fill_mode is VideoFillMode.COVER:
            picture = self._cropped(picture, source, room)
        is_ready = picture.format.name == _FORMAT and picture.color_range != ColorRange.JPEG
        if is_ready and (picture.width, picture.height) == (room.width, room.height):
            return picture
        return self._reformatter.reformat(
            picture,
            width=room.width,
            height=room.height,
            format=_FORMAT,
            interpolation=_INTERPOLATION,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )

    def _cropped(self, picture: av.VideoFrame, source: PictureSize, room: PictureSize) -> av.VideoFrame:
        part = cropped(source, room)
        if (part.width, part.height) == (source.width, source.height):
            return picture
        if picture.format.name != _FORMAT:
            picture = self._reformatter.reformat(picture, format=_FORMAT, dst_color_range=ColorRange.MPEG, threads=1)
        target = av.VideoFrame(part.width, part.height, _FORMAT)
        target.color_range = picture.color_range
        for index, (plane, lines) in enumerate(zip(planes_of(target), planes_of(picture), strict=True)):
            step = 2 if index else 1
            height, width = plane.shape
            plane[:] = lines[part.y // step :, part.x // step :][:height, :width]
        return target


def letterboxed(source: PictureSize, room: PictureSize) -> PictureSize:
    """Return the greatest size with the aspect ratio of `source` that fits into `room`."""
    width = max(min(even(room.height * source.ratio + 1), room.width), 2)
    height = max(min(even(room.width / source.ratio + 1), room.height), 2)
    return PictureSize(width=width, height=height)


def cropped(source: PictureSize, room: PictureSize) -> Rectangle:
    """Return the greatest part with the aspect ratio of `room`, from the middle of a picture of the size `source`.

    A part that leaves out less than two lines or columns is the whole picture. A picture that is at most 2 % too large
    is cropped to `room` itself, which costs no scaling: 640x360 in the tiles of a 2x2 grid with a gap.
    """
    frame = Rectangle(x=0, y=0, width=source.width, height=source.height)
    if 1 <= source.width / room.width <= NEARLY and 1 <= source.height / room.height <= NEARLY:
        return centred(room, frame)
    width = min(source.height * room.ratio, source.width)
    height = min(source.width / room.ratio, source.height)
    kept = PictureSize(
        width=source.width if source.width - width < 2 else max(even(width), 2),
        height=source.height if source.height - height < 2 else max(even(height), 2),
    )
    return centred(kept, frame)


def centred(size: PictureSize, rectangle: Rectangle) -> Rectangle:
    """Return a rectangle of the given size in the middle of `rectangle`, at an even position."""
    x = rectangle.x + even((rectangle.width - size.width) / 2)
    y = rectangle.y + even((rectangle.height - size.height) / 2)
    return Rectangle(x=x, y=y, width=size.width, height=size.height)
