"""The latency meter, which pairs keyframes and decoded frames."""

import time

from av.video.frame import VideoFrame

from bench.ingest.latency import LatencyMeter


def uniform_frame(luma: int) -> VideoFrame:
    frame = VideoFrame(16, 16, "yuv420p")
    frame.planes[0].update(bytes([luma]) * frame.planes[0].buffer_size)
    return frame


def test_the_first_frame_is_not_measured() -> None:
    meter = LatencyMeter(keyframes=1)
    meter.on_decoded(uniform_frame(16))
    assert meter.latencies_ms == []


def test_the_latency_ends_at_the_first_frame_of_another_brightness() -> None:
    meter = LatencyMeter(keyframes=1)
    meter.on_decoded(uniform_frame(16))
    meter.on_sent(time.monotonic_ns() - 50_000_000)
    meter.on_decoded(uniform_frame(16))
    assert not meter.done.is_set()
    meter.on_decoded(uniform_frame(235))
    assert meter.done.is_set()
    assert 50 <= meter.latencies_ms[0] < 50 + 30_000
