"""The first frames of a stream, until it is known which kinds of media it has.

An init segment says which tracks follow. A publisher's audio and video do not begin at once, and a decoder cannot begin
without a keyframe. So the frames are kept until both kinds have come, or the wait for the other one is over: a
publisher may have one kind only.
"""

from typing import Final

import msgspec

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.recording.hls.access_unit import video_format
from stagebook.media.recording.hls.encoded_media import VideoFormat
from stagebook.media.tap.tapped_frame import TappedFrame

WAIT_US: Final = 2_000_000
"""How long a kind is waited for."""
KEYFRAME_WAIT_US: Final = 5_000_000
"""How long a keyframe is waited for, if pictures come that depend on others."""
_MAX_BYTES: Final = 32_000_000


class PlacedFrame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A frame and its time on the recording's timeline."""

    frame: TappedFrame
    time_us: int


class StreamOpening:
    """The frames of a stream that has not begun."""

    def __init__(self, *, time_us: int, has_video: bool) -> None:
        """`time_us` is the time of the first frame. `has_video` is false if video is not recorded."""
        self._first_us = time_us
        self._has_video = has_video
        self._size_bytes = 0
        self._has_dependent_pictures = False
        self.frames: list[PlacedFrame] = []
        """The frames to record, in the order of arrival. The first picture is a keyframe."""
        self.video: VideoFormat | None = None
        """The format of the first picture."""
        self.has_sound = False
        """Whether there is sound."""

    def add(self, frame: TappedFrame, time_us: int) -> None:
        """Add a frame. Pictures before the first keyframe are left out."""
        if frame.kind is MediaKind.AUDIO:
            self.has_sound = True
        elif self.video is None:
            self.video = video_format(frame.body) if frame.is_keyframe else None
            if self.video is None:
                self._has_dependent_pictures = True
                return
        self.frames.append(PlacedFrame(frame=frame, time_us=time_us))
        self._size_bytes += len(frame.body)

    @property
    def start_us(self) -> int:
        """Where the stream starts: with its first picture, or with its sound if it has no pictures."""
        kind = MediaKind.AUDIO if self.video is None else MediaKind.VIDEO
        return next((placed.time_us for placed in self.frames if placed.frame.kind is kind), self._first_us)

    @property
    def needs_keyframe(self) -> bool:
        """Whether pictures come, but none with which the stream could begin."""
        return self._has_dependent_pictures and self.video is None

    def is_ready(self, now_us: int) -> bool:
        """Whether the stream can begin. `now_us` is the time of the media that arrives now."""
        if not self.frames:
            return False
        if self.has_sound and (self.video is not None or not self._has_video):
            return True
        wait_us = KEYFRAME_WAIT_US if self.needs_keyframe else WAIT_US
        return now_us - self._first_us >= wait_us or self._size_bytes > _MAX_BYTES
