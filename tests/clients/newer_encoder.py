"""An encoder with a newer libavformat than Debian's ffmpeg: PyAV's own, which speaks enhanced RTMP."""

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
"""Video encoders whose codec has no number in FLV, and how to make them quick."""


def publish(url: str, encoder: str) -> None:
    """Publish a minute of grey pictures and silence as fast as the server takes it. Raises av.error.FFmpegError when
    the server ends it."""
    with av.open(url, "w", format="flv") as container:
        video = container.add_stream(encoder, rate=FRAMES_PER_SECOND, options=ENCODERS[encoder])
        audio = container.add_stream("aac", rate=SAMPLES_PER_SECOND, layout="stereo")
        assert isinstance(video, VideoStream)
        assert isinstance(audio, AudioStream)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(SECONDS * FRAMES_PER_SECOND):
            container.mux(video.encode(_picture(number)))
            container.mux(audio.encode(_silence(number)))


def _picture(number: int) -> av.VideoFrame:
    picture = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes([number % 256]) * plane.buffer_size)
    picture.pts, picture.time_base = number, Fraction(1, FRAMES_PER_SECOND)
    return picture


def _silence(number: int) -> av.AudioFrame:
    sound = av.AudioFrame(format="fltp", layout="stereo", samples=SAMPLES_PER_SECOND // FRAMES_PER_SECOND)
    for plane in sound.planes:
        plane.update(bytes(plane.buffer_size))
    sound.pts, sound.time_base = number * sound.samples, Fraction(1, SAMPLES_PER_SECOND)
    sound.sample_rate = SAMPLES_PER_SECOND
    return sound
