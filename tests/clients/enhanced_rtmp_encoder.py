"""An encoder of enhanced RTMP: the libavformat in PyAV, as Debian's ffmpeg is too old for it."""

from fractions import Fraction
from typing import Final

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

FRAMES_PER_SECOND: Final = 15
SAMPLES_PER_SECOND: Final = 48_000
SECONDS: Final = 60
WIDTH: Final = 320
HEIGHT: Final = 240

ENCODERS: Final = {
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=error"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "12", "svtav1-params": "pred-struct=1"},
}
"""Video encoders whose codecs need a FourCC (enhanced RTMP), and the options that make them fast."""


def publish(url: str, encoder: str) -> None:
    """Publish a minute of grey video and silence as fast as the server reads it.

    Raises av.error.FFmpegError when the server ends the connection.
    """
    with av.open(url, "w", format="flv") as container:
        video = container.add_stream(encoder, rate=FRAMES_PER_SECOND, options=ENCODERS[encoder])
        audio = container.add_stream("aac", rate=SAMPLES_PER_SECOND, layout="stereo")
        assert isinstance(video, VideoStream)
        assert isinstance(audio, AudioStream)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(SECONDS * FRAMES_PER_SECOND):
            container.mux(video.encode(_grey_frame(number)))
            container.mux(audio.encode(_silence(number)))


def _grey_frame(number: int) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([number % 256]) * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
    return frame


def _silence(number: int) -> av.AudioFrame:
    frame = av.AudioFrame(format="fltp", layout="stereo", samples=SAMPLES_PER_SECOND // FRAMES_PER_SECOND)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.pts, frame.time_base = number * frame.samples, Fraction(1, SAMPLES_PER_SECOND)
    frame.sample_rate = SAMPLES_PER_SECOND
    return frame
