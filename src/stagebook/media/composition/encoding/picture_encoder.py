"""The H.264 encoder of a composition: x264 by FFmpeg's libraries (PyAV).

    zerolatency   no lookahead and no B-frames: a picture leaves the encoder in the call that it enters it
    main          every player and every ingest decodes the Main profile
    forced IDR    keyframes are where segments begin, and nowhere else: the interval and scene cuts of x264 are off
    VBV           one second at the bitrate, so that no picture is too large for a line of that rate

x264 uses one thread for small canvases. A larger picture is encoded in slices, one for each thread.
"""

from fractions import Fraction
from typing import Final

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from stagebook.media.composition.composition_port import CanvasSettings
from stagebook.media.recording.hls.encoded_media import EncodedPicture

PIXELS_PER_THREAD: Final = 1280 * 720 * 30
"""Pixels per second that one thread of x264 encodes in well under a second (docs/composition.md)."""
MAX_ENCODER_THREADS: Final = 4
_MAX_DENOMINATOR: Final = 1_001
"""Frame rates such as 29.97 are fractions with a small denominator."""
_OPTIONS: Final = {
    "preset": "veryfast",
    "tune": "zerolatency",
    "profile": "main",
    "forced-idr": "1",
    "sc_threshold": "0",
}


def exact_frame_rate(frames_per_second: float) -> Fraction:
    """Return the frame rate as a fraction."""
    return Fraction(frames_per_second).limit_denominator(_MAX_DENOMINATOR)


def keyframe_interval_seconds(segment_seconds: int | None) -> Fraction:
    """Return the interval of keyframes: at most 2 s, and a segment consists of whole intervals."""
    if segment_seconds is None:
        return Fraction(2)
    return Fraction(segment_seconds, -(-segment_seconds // 2))


class PictureEncoder:
    """Encodes the pictures of one canvas."""

    def __init__(self, canvas: CanvasSettings, *, keyframe_interval: Fraction) -> None:
        """`keyframe_interval` is in seconds."""
        self._rate = exact_frame_rate(canvas.frames_per_second)
        self._interval = keyframe_interval
        self._next_keyframe = Fraction(0)
        self._context = _make_encoder(canvas, self._rate)

    def encode(self, frame: VideoFrame, *, number: int) -> list[EncodedPicture]:
        """Encode the picture with this number, which is above that of the one before. Returns its access unit.

        `frame` is in the format yuv420p with the size of the canvas. It is not kept. Raises av.FFmpegError.
        """
        seconds = number / self._rate
        is_due = seconds >= self._next_keyframe
        if is_due:
            self._next_keyframe = (seconds // self._interval + 1) * self._interval
        frame.pict_type = PictureType.I if is_due else PictureType.NONE
        frame.pts, frame.time_base = number, 1 / self._rate
        return [
            EncodedPicture(
                time_us=round((packet.pts or 0) / self._rate * 1_000_000),
                body=bytes(packet),
                is_keyframe=packet.is_keyframe,
            )
            for packet in self._context.encode(frame)
        ]


def _make_encoder(canvas: CanvasSettings, rate: Fraction) -> VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = canvas.width, canvas.height, "yuv420p"
    context.framerate, context.time_base = rate, 1 / rate
    context.bit_rate = canvas.bitrate_bps
    context.gop_size = 1 << 20
    pixels = canvas.width * canvas.height * canvas.frames_per_second
    context.thread_count = max(1, min(MAX_ENCODER_THREADS, round(pixels / PIXELS_PER_THREAD)))
    limit = str(canvas.bitrate_bps)
    context.options = {**_OPTIONS, "maxrate": limit, "bufsize": limit}
    return context
