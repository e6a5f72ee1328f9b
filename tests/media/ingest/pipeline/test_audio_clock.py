"""The start times of audio frames: contiguous by samples, and following the timestamps on average."""

import random

import pytest

from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.audio_clock import MAX_DEVIATION_MS, MAX_DROPPED_FRAMES, AudioClock

SAMPLES = 1_024
FRAMES = 26_000
"""Ten minutes."""


def place(clock: AudioClock, timestamp_ms: int, *, sampling_rate: int = 48_000) -> int | None:
    return clock.place(timestamp_ms=timestamp_ms, samples=SAMPLES, sampling_rate=sampling_rate)


@pytest.mark.parametrize("sampling_rate", [44_100, 48_000])
@pytest.mark.parametrize("jitter_ms", [0, 15])
def test_rounding_and_jitter_are_smoothed_and_do_not_accumulate(sampling_rate: int, jitter_ms: int) -> None:
    clock, randomness = AudioClock(), random.Random(1)
    worst_ms = 0.0
    for number in range(FRAMES):
        true_ms = 1_000 + number * SAMPLES * 1_000 / sampling_rate
        timestamp_ms = round(true_ms) + (randomness.randint(-jitter_ms, jitter_ms) if number else 0)
        start = place(clock, timestamp_ms, sampling_rate=sampling_rate)
        assert start is not None
        assert clock.is_restarted == (number == 0)
        worst_ms = max(worst_ms, abs(start / 48 - true_ms))
    assert worst_ms < 0.6 + jitter_ms / 4


@pytest.mark.parametrize("parts_per_million", [-300, 100, 300])
def test_a_clock_with_a_wrong_rate_is_followed(parts_per_million: int) -> None:
    clock = AudioClock()
    for number in range(FRAMES):
        true_ms = number * SAMPLES / 48 * (1 + parts_per_million / 1e6)
        start = place(clock, round(true_ms))
        assert start is not None
        assert abs(start / 48 - true_ms) < 2


def test_a_small_deviation_is_corrected_slowly() -> None:
    clock = AudioClock()
    frame_ticks = SAMPLES
    first, second = place(clock, 0), place(clock, 21 + MAX_DEVIATION_MS)
    assert first == 0
    assert second is not None
    assert frame_ticks < second < frame_ticks + 48
    assert not clock.is_restarted


def test_after_a_gap_the_clock_restarts_at_the_timestamp() -> None:
    clock = AudioClock()
    place(clock, 0)
    assert place(clock, 22 + MAX_DEVIATION_MS) == (22 + MAX_DEVIATION_MS) * 48
    assert clock.is_restarted
    place(clock, 78)
    assert not clock.is_restarted


def test_frames_that_are_too_early_are_dropped() -> None:
    clock = AudioClock()
    place(clock, 1_000)
    assert place(clock, 900) is None
    assert place(clock, 985) is None
    assert place(clock, 1_021) is not None
    assert not clock.is_restarted


def test_timestamps_that_do_not_advance_are_an_input_fault() -> None:
    clock = AudioClock()
    while place(clock, 500) is not None:
        pass
    for _ in range(MAX_DROPPED_FRAMES - 1):
        assert place(clock, 500) is None
    with pytest.raises(InputFaultError, match="timestamps of the audio do not advance"):
        place(clock, 500)
