"""The decoded pictures of one participant: the one that is shown, and those that are due later.

Pictures wait for the sound: a picture is shown when the mixer plays the sound of the same time. A picture that
arrives too late, or has no sound to wait for, is shown with the next frame. Without a new picture, the last one stays.
"""

from collections import deque

import av

from stagebook.media.composition.drawing.picture_scaler import PictureScaler
from stagebook.media.composition.layout.layout_settings import VideoFillMode
from stagebook.media.composition.layout.placement import PictureSize

MAXIMUM_WAITING = 12
"""Maximum number of decoded pictures that wait; 12 of 1080p take 37 MB. Above it the oldest is shown at once."""


class ParticipantPictures:
    """What is drawn for one participant."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, av.VideoFrame]] = deque()
        self._shown: av.VideoFrame | None = None
        self._scaler = PictureScaler()
        self._scaled: av.VideoFrame | None = None
        self._scaled_for: tuple[PictureSize, VideoFillMode] | None = None

    @property
    def size(self) -> PictureSize | None:
        """The size of the shown picture; None if there is none."""
        return PictureSize(width=self._shown.width, height=self._shown.height) if self._shown else None

    def receive(self, picture: av.VideoFrame, time_us: int) -> None:
        """Take a picture. A time that is not after the last one begins a new timeline; waiting pictures are dropped."""
        if self._waiting and time_us <= self._waiting[-1][0]:
            self._waiting.clear()
        self._waiting.append((time_us, picture))

    def advance(self, time_us: int | None) -> bool:
        """Show the newest picture that is due at `time_us`; without it the newest. Return whether it has changed."""
        due = None
        while self._waiting and (
            time_us is None or self._waiting[0][0] <= time_us or len(self._waiting) > MAXIMUM_WAITING
        ):
            due = self._waiting.popleft()[1]
        if due is None:
            return False
        self._shown, self._scaled = due, None
        return True

    def forget(self) -> None:
        """Drop all pictures: the participant has stopped its video."""
        self._waiting.clear()
        self._shown = self._scaled = None

    def scaled(self, room: PictureSize, fill_mode: VideoFillMode) -> av.VideoFrame | None:
        """Return the shown picture as it is drawn in a rectangle of the size `room`; None if there is none.

        It is scaled once.
        """
        if self._shown is not None and (self._scaled is None or self._scaled_for != (room, fill_mode)):
            self._scaled_for = (room, fill_mode)
            try:
                self._scaled = self._scaler.scale(self._shown, room, fill_mode)
            except av.FFmpegError:
                # swscale refuses extreme shapes, such as one column that becomes 1920: nothing is shown of them.
                self._shown = self._scaled = None
        return self._scaled
