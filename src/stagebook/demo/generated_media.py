"""Generated video and audio tracks, and a check that they arrive at a viewer.

The video is a bright vertical bar on a dark background that moves to the right in every frame; the audio is a tone of
440 Hz. `MediaObserver` recognises both in decoded frames: the bar by its column, and the tone by the share of the
signal's energy at 440 Hz, which the Goertzel algorithm computes.
"""

import array
import asyncio
import fractions
import math
import time

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

BAR_WIDTH_PIXELS = 32
BAR_STEP_PIXELS = 8
BRIGHT = 235
DARK = 16
TONE_HERTZ = 440
SAMPLE_RATE_HERTZ = 48_000
SAMPLES_PER_FRAME = 960
VIDEO_CLOCK_HERTZ = 90_000


class _Pace:
    """Delays the frames of a live track until they are due."""

    def __init__(self, frames_per_second: float) -> None:
        self._frames_per_second = frames_per_second
        self._start_seconds: float | None = None

    async def wait(self, frame_number: int) -> None:
        if self._start_seconds is None:
            self._start_seconds = time.monotonic()
        due_seconds = self._start_seconds + frame_number / self._frames_per_second
        await asyncio.sleep(max(0.0, due_seconds - time.monotonic()))


class MovingBar(MediaStreamTrack):
    """A live video track: a bright bar on a dark background, one step further to the right in each frame."""

    kind = "video"

    def __init__(self, *, width: int = 320, height: int = 240, frames_per_second: int = 15) -> None:
        super().__init__()
        self._width = width
        self._height = height
        self._frames_per_second = frames_per_second
        self._pace = _Pace(frames_per_second)
        self._number = 0

    async def recv(self) -> VideoFrame:
        """Return the next frame when it is due. Raises MediaStreamError after the end."""
        if self.readyState != "live":
            raise MediaStreamError
        await self._pace.wait(self._number)
        frame = VideoFrame(self._width, self._height, "yuv420p")
        luma, *chroma = frame.planes
        row = bytearray([DARK]) * luma.line_size
        left = self._number * BAR_STEP_PIXELS % (self._width - BAR_WIDTH_PIXELS)
        row[left : left + BAR_WIDTH_PIXELS] = bytes([BRIGHT]) * BAR_WIDTH_PIXELS
        luma.update(bytes(row) * luma.height)
        for plane in chroma:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts = self._number * VIDEO_CLOCK_HERTZ // self._frames_per_second
        frame.time_base = fractions.Fraction(1, VIDEO_CLOCK_HERTZ)
        self._number += 1
        return frame


class Tone(MediaStreamTrack):
    """A live audio track: a continuous tone of 440 Hz."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pace = _Pace(SAMPLE_RATE_HERTZ / SAMPLES_PER_FRAME)
        self._number = 0
        # 1,200 samples are eleven complete periods of 440 Hz.
        self._wave = [
            int(12_000 * math.sin(2 * math.pi * TONE_HERTZ * index / SAMPLE_RATE_HERTZ)) for index in range(1_200)
        ]

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms when they are due. Raises MediaStreamError after the end."""
        if self.readyState != "live":
            raise MediaStreamError
        await self._pace.wait(self._number)
        start = self._number * SAMPLES_PER_FRAME
        samples = array.array("h", (self._wave[(start + index) % 1_200] for index in range(SAMPLES_PER_FRAME)))
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES_PER_FRAME)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate = SAMPLE_RATE_HERTZ
        frame.pts = start
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE_HERTZ)
        self._number += 1
        return frame


class MediaObserver:
    """Counts the decoded frames of a viewer and recognises the moving bar and the tone in them.

    `size` is the width and height of the newest video frame. `bar_positions` are the different positions at which the
    bar was seen, in steps.
    """

    def __init__(self) -> None:
        self.video_frames = 0
        self.size: tuple[int, int] | None = None
        self.bar_positions: set[int] = set()
        self.tone_frames = 0

    def observe_video(self, frame: VideoFrame) -> None:
        """Count a decoded video frame and record the position of its bar."""
        self.video_frames += 1
        self.size = (frame.width, frame.height)
        luma = frame.planes[0]
        middle = frame.height // 2 * luma.line_size
        row = bytes(luma)[middle : middle + frame.width]
        bright = [column for column, value in enumerate(row) if value > (BRIGHT + DARK) // 2]
        if bright:
            self.bar_positions.add(bright[0] // BAR_STEP_PIXELS)

    def observe_audio(self, frame: AudioFrame) -> None:
        """Count a decoded audio frame if it contains the tone."""
        channels = len(frame.layout.channels)
        samples = array.array("h", bytes(frame.planes[0])[: frame.samples * channels * 2])[::channels]
        if share_of_tone(samples, frame.sample_rate) > 0.5:
            self.tone_frames += 1

    @property
    def has_motion(self) -> bool:
        """Whether the bar was seen at three different positions or more."""
        return len(self.bar_positions) >= 3

    @property
    def has_tone(self) -> bool:
        """Whether ten audio frames or more contained the tone."""
        return self.tone_frames >= 10

    @property
    def is_complete(self) -> bool:
        """Whether both the moving bar and the tone have arrived."""
        return self.has_motion and self.has_tone


def share_of_tone(samples: "array.array[int]", sample_rate_hertz: int) -> float:
    """Return the share of the samples' energy at the frequency of the tone, from 0 to 1 (Goertzel algorithm)."""
    energy = sum(sample * sample for sample in samples)
    if energy < len(samples) * 100:  # silence or the noise of a codec
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * TONE_HERTZ / sample_rate_hertz)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return 2 * power / (len(samples) * energy)
