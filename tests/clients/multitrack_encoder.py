"""An encoder of multitrack video (Enhanced RTMP v2): the libavformat in PyAV, with one video stream for each size."""

import array
import math
import threading
import time
from fractions import Fraction
from typing import Final

import av
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.video.stream import VideoStream

from stagebook.demo.generated_media import BAR_STEP_PIXELS, BAR_WIDTH_PIXELS, BRIGHT, DARK, TONE_HERTZ

FRAMES_PER_SECOND: Final = 15
SAMPLES_PER_SECOND: Final = 48_000
_OPTIONS: Final = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": str(FRAMES_PER_SECOND)}


class MultitrackEncoder:
    """Publishes the moving bar at several sizes and the tone, in real time, in a thread of its own until `stop`."""

    def __init__(self, url: str, *sizes: tuple[int, int]) -> None:
        self._url = url
        self._sizes = sizes
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the stream cleanly, and wait for the end."""
        self._stopped.set()
        self._thread.join()

    def _publish(self) -> None:
        # The server may end the connection.
        try:
            with av.open(self._url, "w", format="flv") as container:
                videos = [_add_video(container, size) for size in self._sizes]
                audio = container.add_stream("aac", rate=SAMPLES_PER_SECOND, layout="stereo")
                assert isinstance(audio, AudioStream)
                started, number = time.monotonic(), 0
                while not self._stopped.wait(max(0.0, started + number / FRAMES_PER_SECOND - time.monotonic())):
                    for video in videos:
                        container.mux(video.encode(_bar(number, video.width, video.height)))
                    container.mux(audio.encode(_tone(number)))
                    number += 1
        except FFmpegError:
            return


def _add_video(container: av.container.OutputContainer, size: tuple[int, int]) -> VideoStream:
    video = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=_OPTIONS)
    assert isinstance(video, VideoStream)
    (video.width, video.height), video.pix_fmt = size, "yuv420p"
    return video


def _bar(number: int, width: int, height: int) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    luma, *chroma = frame.planes
    row = bytearray([DARK]) * luma.line_size
    left = number * BAR_STEP_PIXELS % (width - BAR_WIDTH_PIXELS)
    row[left : left + BAR_WIDTH_PIXELS] = bytes([BRIGHT]) * BAR_WIDTH_PIXELS
    luma.update(bytes(row) * luma.height)
    for plane in chroma:
        plane.update(bytes([128]) * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
    return frame


def _tone(number: int) -> av.AudioFrame:
    samples = SAMPLES_PER_SECOND // FRAMES_PER_SECOND
    step = 2 * math.pi * TONE_HERTZ / SAMPLES_PER_SECOND
    wave = array.array("f", (0.4 * math.sin(step * (number * samples + index)) for index in range(samples)))
    frame = av.AudioFrame(format="fltp", layout="stereo", samples=samples)
    for plane in frame.planes:
        plane.update(wave.tobytes())
    frame.pts, frame.time_base = number * samples, Fraction(1, SAMPLES_PER_SECOND)
    frame.sample_rate = SAMPLES_PER_SECOND
    return frame
