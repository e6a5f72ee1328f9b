"""Which timestamps of an encoder are used unchanged, which are corrected, and which are a jump of its clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.timeline import (
    JUMPS_WINDOW_SECONDS,
    MAX_JUMPS,
    MAX_STEP_BACK_MS,
    MAX_STEP_MS,
    Timeline,
)
from stagebook.media.port import IngestFault

HOUR_MS = 3_600_000


class Scenario:
    """A timeline, its clock, and the jumps that it reported."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.jumps: list[tuple[MediaKind, int]] = []
        self.timeline = Timeline(
            clock=lambda: self.now, on_jump=lambda kind, distance_ms: self.jumps.append((kind, distance_ms))
        )

    def video(self, timestamp_ms: int) -> int:
        return self.timeline.place_video(timestamp_ms)

    def audio(self, timestamp_ms: int) -> int:
        return self.timeline.place_audio(timestamp_ms)


@pytest.fixture
def stream() -> Scenario:
    return Scenario()


@pytest.mark.parametrize("start_ms", [0, 5_000, 1 << 32, 1 << 40])
def test_a_stream_may_start_at_any_time(stream: Scenario, start_ms: int) -> None:
    assert [stream.video(start_ms + step) for step in (0, 33, 67)] == [start_ms, start_ms + 33, start_ms + 67]
    assert stream.audio(start_ms) == start_ms
    assert stream.jumps == []


def test_no_two_video_frames_have_the_same_time(stream: Scenario) -> None:
    timestamps = [1_000, 1_000, 990, 1_001, 1_040]
    assert [stream.video(timestamp_ms) for timestamp_ms in timestamps] == [1_000, 1_001, 1_002, 1_003, 1_040]


def test_steps_within_the_limits_are_used_unchanged(stream: Scenario) -> None:
    for timestamp_ms in (0, MAX_STEP_MS, 2 * MAX_STEP_MS):
        assert stream.video(timestamp_ms) == timestamp_ms
        assert stream.audio(timestamp_ms) == timestamp_ms
    assert stream.audio(2 * MAX_STEP_MS - MAX_STEP_BACK_MS) == 2 * MAX_STEP_MS - MAX_STEP_BACK_MS
    assert stream.jumps == []


@pytest.mark.parametrize("pause_ms", [12_000, HOUR_MS])
@pytest.mark.parametrize("paused", list(MediaKind))
def test_a_track_that_pauses_and_comes_back_on_the_same_clock_is_not_a_jump(
    stream: Scenario, paused: MediaKind, pause_ms: int
) -> None:
    placed = {MediaKind.VIDEO: stream.video, MediaKind.AUDIO: stream.audio}
    running = MediaKind.AUDIO if paused is MediaKind.VIDEO else MediaKind.VIDEO
    for timestamp_ms in (0, 40):
        assert [place(timestamp_ms) for place in placed.values()] == 2 * [timestamp_ms]
    for timestamp_ms in range(80, pause_ms, 40):
        assert placed[running](timestamp_ms) == timestamp_ms
    assert placed[paused](pause_ms) == pause_ms
    assert stream.jumps == []


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS, MAX_STEP_MS + 21, -MAX_STEP_BACK_MS - 21])
def test_after_a_jump_of_both_clocks_the_tracks_go_on_with_the_same_distance(stream: Scenario, jump_ms: int) -> None:
    start_ms = 2 * HOUR_MS
    for step in range(0, 2_000, 20):
        stream.audio(start_ms + step)
        stream.video(start_ms + step + 7)
    jumped_ms = start_ms + 2_000 + jump_ms
    placed = [
        (stream.audio(jumped_ms + step) - start_ms, stream.video(jumped_ms + step + 7) - start_ms)
        for step in range(0, 2_000, 20)
    ]
    assert placed == [(step, step + 7) for step in range(2_000, 4_000, 20)]
    assert [kind for kind, _ in stream.jumps] == [MediaKind.AUDIO]


def test_the_time_that_passes_before_a_jump_passes_on_the_stream_too(stream: Scenario) -> None:
    stream.audio(0)
    stream.video(0)
    stream.now += 5
    assert (stream.audio(HOUR_MS), stream.video(HOUR_MS)) == (5_000, 5_000)


def test_messages_of_the_old_clock_may_follow_those_of_the_new_one(stream: Scenario) -> None:
    for step in range(0, 400, 20):
        stream.audio(step)
        stream.video(step)
    assert stream.audio(HOUR_MS) == 400
    assert [stream.video(400), stream.video(420)] == [400, 420]
    assert stream.audio(HOUR_MS + 20) == 420
    assert stream.video(HOUR_MS + 40) == 440
    assert len(stream.jumps) == 1


def test_a_track_that_jumps_alone_goes_on(stream: Scenario) -> None:
    for step in range(0, 400, 20):
        stream.audio(step)
        stream.video(step)
    for step in range(400, 20_000, 20):
        assert stream.video(step) == step
        assert stream.audio(HOUR_MS + step) == step
    assert stream.jumps == [(MediaKind.AUDIO, HOUR_MS)]


def test_tracks_may_begin_on_different_clocks(stream: Scenario) -> None:
    assert stream.video(7_000) == 7_000
    assert stream.audio(HOUR_MS) == 7_000
    assert stream.jumps == [(MediaKind.AUDIO, HOUR_MS - 7_000)]


def test_a_clock_that_jumps_all_the_time_is_invalid_input(stream: Scenario) -> None:
    for number in range(MAX_JUMPS + 1):
        stream.video(number * HOUR_MS)
    with pytest.raises(InputFaultError, match=f"jumped more than {MAX_JUMPS} times in 60 s") as caught:
        stream.video((MAX_JUMPS + 1) * HOUR_MS)
    assert caught.value.fault is IngestFault.INPUT


def test_rare_jumps_are_accepted_for_ever(stream: Scenario) -> None:
    for number in range(10 * MAX_JUMPS):
        stream.now += JUMPS_WINDOW_SECONDS / MAX_JUMPS
        stream.video(number * HOUR_MS)


@given(st.lists(st.tuples(st.booleans(), st.integers(-40_000, 40_000)), max_size=30))
def test_the_times_of_video_frames_always_increase(steps: list[tuple[bool, int]]) -> None:
    stream = Scenario()
    times: list[int] = []
    for is_video, timestamp_ms in steps:
        stream.now += JUMPS_WINDOW_SECONDS
        if is_video:
            times.append(stream.video(timestamp_ms))
        else:
            stream.audio(timestamp_ms)
    assert times == sorted(set(times))
