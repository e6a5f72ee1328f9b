"""Where audio frames are put in time: the samples' own pace, pulled gently by the timestamps."""

import random

import pytest

from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.audio_clock import MAX_DEVIATION_MS, MAX_LEFT_OUT, AudioClock

SAMPLES = 1_024
FRAMES = 26_000
"""Ten minutes."""


def _place(clock: AudioClock, timestamp_ms: int, *, sampling_rate: int = 48_000) -> int | None:
    return clock.place(timestamp_ms=timestamp_ms, samples=SAMPLES, sampling_rate=sampling_rate)


@pytest.mark.parametrize("sampling_rate", [44_100, 48_000])
@pytest.mark.parametrize("jitter_ms", [0, 15])
def test_rounding_and_jitter_neither_add_up_nor_go_through(sampling_rate: int, jitter_ms: int) -> None:
    clock, chance = AudioClock(), random.Random(1)
    worst_ms = 0.0
    for number in range(FRAMES):
        true_ms = 1_000 + number * SAMPLES * 1_000 / sampling_rate
        told_ms = round(true_ms) + (chance.randint(-jitter_ms, jitter_ms) if number else 0)
        start = _place(clock, told_ms, sampling_rate=sampling_rate)
        assert start is not None
        assert clock.is_new == (number == 0)
        worst_ms = max(worst_ms, abs(start / 48 - true_ms))
    assert worst_ms < 0.6 + jitter_ms / 4


@pytest.mark.parametrize("parts_per_million", [-300, 100, 300])
def test_a_clock_that_is_off_is_followed(parts_per_million: int) -> None:
    clock = AudioClock()
    for number in range(FRAMES):
        true_ms = number * SAMPLES / 48 * (1 + parts_per_million / 1e6)
        start = _place(clock, round(true_ms))
        assert start is not None
        assert abs(start / 48 - true_ms) < 2


def test_a_small_step_is_approached_slowly() -> None:
    clock = AudioClock()
    frame_ticks = SAMPLES
    first, second = _place(clock, 0), _place(clock, 21 + MAX_DEVIATION_MS)
    assert first == 0
    assert second is not None
    assert frame_ticks < second < frame_ticks + 48
    assert not clock.is_new


def test_a_gap_begins_anew_at_its_timestamp() -> None:
    clock = AudioClock()
    _place(clock, 0)
    assert _place(clock, 22 + MAX_DEVIATION_MS) == (22 + MAX_DEVIATION_MS) * 48
    assert clock.is_new
    _place(clock, 78)
    assert not clock.is_new


def test_frames_for_a_time_that_is_over_are_left_out_until_it_goes_on() -> None:
    clock = AudioClock()
    _place(clock, 1_000)
    assert _place(clock, 900) is None
    assert _place(clock, 985) is None
    assert _place(clock, 1_021) is not None
    assert not clock.is_new


def test_timestamps_that_stand_still_are_bad_input() -> None:
    clock = AudioClock()
    while _place(clock, 500) is not None:
        pass
    for _ in range(MAX_LEFT_OUT - 1):
        assert _place(clock, 500) is None
    with pytest.raises(InputFaultError, match="timestamps of the audio stand still"):
        _place(clock, 500)
