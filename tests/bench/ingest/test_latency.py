"""The stopwatch: which picture belongs to which keyframe."""

import time

from av.video.frame import VideoFrame

from bench.ingest.latency import Stopwatch


def picture(luma: int) -> VideoFrame:
    frame = VideoFrame(16, 16, "yuv420p")
    frame.planes[0].update(bytes([luma]) * frame.planes[0].buffer_size)
    return frame


def test_the_first_picture_is_not_timed() -> None:
    stopwatch = Stopwatch(keyframes=1)
    stopwatch.seen(picture(16))
    assert stopwatch.taken_ms == []


def test_a_keyframe_is_timed_to_the_first_picture_of_another_brightness() -> None:
    stopwatch = Stopwatch(keyframes=1)
    stopwatch.seen(picture(16))
    stopwatch.sent(time.monotonic_ns() - 50_000_000)
    stopwatch.seen(picture(16))
    assert not stopwatch.done.is_set()
    stopwatch.seen(picture(235))
    assert stopwatch.done.is_set()
    assert 50 <= stopwatch.taken_ms[0] < 50 + 30_000
