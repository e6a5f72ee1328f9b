"""Which timestamps of an encoder are used unchanged, corrected or refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.timeline import MAX_STEP_BACK_MS, MAX_STEP_MS, Timeline
from stagebook.media.port import IngestFault


@pytest.mark.parametrize("start_ms", [0, 5_000, 1 << 32, 1 << 40])
def test_a_stream_may_start_at_any_time(start_ms: int) -> None:
    timeline = Timeline()
    assert [timeline.place_video(start_ms + step) for step in (0, 33, 67)] == [start_ms, start_ms + 33, start_ms + 67]
    timeline.check_audio(start_ms)


def test_no_two_video_frames_have_the_same_time() -> None:
    timeline = Timeline()
    timestamps = [1_000, 1_000, 990, 1_001, 1_040]
    assert [timeline.place_video(timestamp_ms) for timestamp_ms in timestamps] == [1_000, 1_001, 1_002, 1_003, 1_040]


def test_a_pause_within_the_limit_is_accepted() -> None:
    timeline = Timeline()
    for timestamp_ms in (0, MAX_STEP_MS, 2 * MAX_STEP_MS):
        timeline.place_video(timestamp_ms)
        timeline.check_audio(timestamp_ms)


@pytest.mark.parametrize(
    ("to_ms", "error"),
    [
        (50_000 + MAX_STEP_MS + 1, r"the video jump 10001 ms forward"),
        (50_000 - MAX_STEP_BACK_MS - 1, r"the video step 1001 ms back"),
    ],
)
def test_a_jump_of_the_video_is_refused(to_ms: int, error: str) -> None:
    timeline = Timeline()
    timeline.place_video(50_000)
    with pytest.raises(InputFaultError, match=error) as caught:
        timeline.place_video(to_ms)
    assert caught.value.fault is IngestFault.INPUT


def test_a_jump_of_the_audio_is_refused() -> None:
    timeline = Timeline()
    timeline.check_audio(50_000)
    timeline.check_audio(50_000 - MAX_STEP_BACK_MS)
    with pytest.raises(InputFaultError, match="the audio step 1001 ms back"):
        timeline.check_audio(50_000 - MAX_STEP_BACK_MS - 1)
    with pytest.raises(InputFaultError, match="the audio jump 10001 ms forward"):
        timeline.check_audio(50_000 + MAX_STEP_MS + 1)


def test_tracks_too_far_apart_are_refused() -> None:
    timeline = Timeline()
    timeline.place_video(0)
    timeline.check_audio(5_000)
    timeline.check_audio(MAX_STEP_MS)
    with pytest.raises(InputFaultError, match="audio and video are 10001 ms apart"):
        timeline.check_audio(MAX_STEP_MS + 1)


def test_a_stream_with_only_one_track_is_refused() -> None:
    timeline = Timeline()
    timeline.place_video(7_000)
    timeline.place_video(7_000 + MAX_STEP_MS)
    with pytest.raises(InputFaultError, match="the stream has no audio: 10001 ms of video"):
        timeline.place_video(7_000 + MAX_STEP_MS + 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40_000)), max_size=30))
def test_the_times_of_video_frames_always_increase(steps: list[tuple[bool, int]]) -> None:
    timeline = Timeline()
    times: list[int] = []
    with suppress(InputFaultError):
        for is_video, timestamp_ms in steps:
            if is_video:
                times.append(timeline.place_video(timestamp_ms))
            else:
                timeline.check_audio(timestamp_ms)
    assert times == sorted(set(times))
