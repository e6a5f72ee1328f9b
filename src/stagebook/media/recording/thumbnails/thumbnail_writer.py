"""Thumbnails of a recording: a keyframe as JPEG at an interval.

Only keyframes are decoded, one in an interval. When a thumbnail is due and no keyframe has come, one is requested. What
a publisher calls a keyframe may be anything: one that cannot be decoded, or is too large, costs an attempt a second.

The keyframe is handed to a `ThumbnailMaker`, which may take its time: the media goes on meanwhile.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

import av
from av.video.frame import VideoFrame

from stagebook.media.recording.object_writer import ObjectWriter
from stagebook.media.recording.recording_port import ThumbnailSettings

JPEG_TYPE: Final = "image/jpeg"
_QUALITY: Final = 4
"""The quantiser of the JPEG encoder, from 2 (the best) to 31."""
_REQUEST_INTERVAL_US: Final = 1_000_000
_ATTEMPT_INTERVAL_US: Final = 1_000_000
"""The least time from a keyframe that is no picture to the next attempt."""
_MAX_PIXELS: Final = 4096 * 2304
"""Larger pictures are refused before there is memory for them, as by the decoders of compositions."""
_EARLY_US: Final = 500_000
"""How much earlier a keyframe may be than its thumbnail is due."""


class Thumbnail(NamedTuple):
    """A picture as JPEG; None if it cannot be decoded, or if it was dropped before it was tried."""

    jpeg: bytes | None
    is_dropped: bool = False


ThumbnailMaker: TypeAlias = Callable[[bytes, Callable[[Thumbnail], None]], None]
"""Makes a thumbnail of an H.264 keyframe, and calls back with it: at once, or later on the same thread."""


class ThumbnailWriter:
    """The thumbnails of one recording."""

    def __init__(
        self,
        *,
        objects: ObjectWriter,
        settings: ThumbnailSettings,
        folder: str,
        request_keyframe: Callable[[], None],
        make: ThumbnailMaker | None = None,
    ) -> None:
        """`folder` is the folder of the rendition: `high` for participants. Without `make`, pictures are decoded at
        once."""
        self._objects = objects
        self._settings = settings
        self._folder = folder
        self._request_keyframe = request_keyframe
        self._due_us: int | None = None
        """When the next thumbnail is due. None: at once."""
        self._requested_us = -_REQUEST_INTERVAL_US
        self._attempt_us = 0
        """No keyframe before this time is decoded: the last one was no picture."""
        self._written = 0
        self._make = make or _make_at_once
        self._pending: bytes | None = None
        """The keyframe of which a thumbnail is being made."""
        self._pending_us = 0

    def take_picture(self, *, time_us: int, body: bytes, is_keyframe: bool) -> None:
        """Take each picture of the recording, as an H.264 access unit in Annex B."""
        lead_us = min(_EARLY_US, self._settings.interval_seconds * 500_000)
        if self._pending is not None or (self._due_us is not None and time_us < self._due_us - lead_us):
            return
        if not is_keyframe:
            self._request(time_us)
            return
        if time_us < self._attempt_us:
            return
        self._pending, self._pending_us = body, time_us
        self._make(body, lambda made: self._take_thumbnail(body, made))

    def finish(self) -> None:
        """Write the thumbnail that is being made: the recording ends."""
        if self._pending is not None:
            self._take_thumbnail(self._pending, make_thumbnail(self._pending))

    def _take_thumbnail(self, body: bytes, made: Thumbnail) -> None:
        if self._pending is not body:
            return  # `finish` was called meanwhile.
        self._pending = None
        time_us = self._pending_us
        if made.jpeg is None:
            self._attempt_us = time_us if made.is_dropped else time_us + _ATTEMPT_INTERVAL_US
            return
        interval_us = self._settings.interval_seconds * 1_000_000
        lead_us = min(_EARLY_US, interval_us // 2)
        due_us = time_us if self._due_us is None else self._due_us
        # The interval does not drift with late keyframes; after a gap it begins anew.
        self._due_us = max(due_us + interval_us, time_us + interval_us - lead_us)
        self._write(made.jpeg)

    def _write(self, jpeg: bytes) -> None:
        self._written += 1
        if self._settings.is_sequential:
            self._objects.put(f"media/thumbnails/{self._folder}/{self._written}.jpg", jpeg, JPEG_TYPE)
        if self._settings.is_latest:
            self._objects.put(f"media/latest_thumbnail/{self._folder}/thumb.jpg", jpeg, JPEG_TYPE)

    def _request(self, time_us: int) -> None:
        if (
            self._due_us is not None
            and time_us >= self._due_us
            and time_us - self._requested_us >= _REQUEST_INTERVAL_US
        ):
            self._requested_us = time_us
            self._request_keyframe()


def make_thumbnail(body: bytes) -> Thumbnail:
    """Make a thumbnail of an H.264 keyframe. Takes tens of milliseconds for a large one."""
    return Thumbnail(keyframe_to_jpeg(body))


def _make_at_once(body: bytes, done: Callable[[Thumbnail], None]) -> None:
    done(make_thumbnail(body))


def keyframe_to_jpeg(body: bytes) -> bytes | None:
    """Decode an H.264 keyframe and encode it as JPEG. None if it cannot be decoded, or is above 4096x2304."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(_MAX_PIXELS)}
    try:
        frames = [*decoder.decode(av.Packet(body)), *decoder.decode(None)]
        return _encode_jpeg(frames[0]) if frames else None
    except av.FFmpegError:
        return None


def _encode_jpeg(frame: VideoFrame) -> bytes | None:
    picture = frame.reformat(format="yuvj420p")
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuvj420p"
    encoder.time_base = Fraction(1, 1)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = _QUALITY
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)]) or None
