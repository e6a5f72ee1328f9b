"""The timeline of a recording: parts, gaps, and clocks that jump."""

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.recording.recording_timeline import HEARD_MS, MAX_LEAD_US, MAX_SKEW_US, RecordingTimeline

HOUR_US = 3_600_000_000
AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO


class WallClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def timeline(clock: WallClock) -> RecordingTimeline:
    return RecordingTimeline(now_ms=clock)


def test_the_first_frame_is_at_zero(timeline: RecordingTimeline) -> None:
    assert timeline.place(AUDIO, HOUR_US) == 0
    assert timeline.place(VIDEO, HOUR_US + 20_000) == 20_000


def test_a_part_begins_where_the_recording_ended(timeline: RecordingTimeline) -> None:
    timeline.place(AUDIO, HOUR_US)
    timeline.resume_at(5_000_000)
    assert timeline.is_between_parts
    assert not timeline.agrees(AUDIO, HOUR_US + 1)
    assert timeline.place(AUDIO, 7 * HOUR_US) == 5_000_000


@pytest.mark.parametrize("kind", MediaKind)
def test_a_gap_agrees_as_far_as_time_has_passed(timeline: RecordingTimeline, clock: WallClock, kind: MediaKind) -> None:
    timeline.place(kind, 0)
    assert timeline.agrees(kind, MAX_SKEW_US)
    assert not timeline.agrees(kind, MAX_SKEW_US + 1)
    clock.now_ms += 3_600_000
    assert timeline.agrees(kind, HOUR_US + MAX_SKEW_US)
    assert not timeline.agrees(kind, HOUR_US + MAX_SKEW_US + 1)


def test_steps_that_each_agree_do_not_run_ahead_of_the_wall_clock(timeline: RecordingTimeline) -> None:
    time_us = 0
    while timeline.is_between_parts or timeline.agrees(AUDIO, time_us):
        timeline.place(AUDIO, time_us)
        time_us += MAX_SKEW_US
    assert time_us == MAX_LEAD_US + MAX_SKEW_US


def test_the_lead_is_not_given_again_to_each_part(timeline: RecordingTimeline) -> None:
    timeline.place(AUDIO, 0)
    timeline.resume_at(MAX_LEAD_US)
    timeline.place(AUDIO, 0)
    timeline.place(AUDIO, MAX_SKEW_US)
    assert timeline.agrees(AUDIO, MAX_SKEW_US)
    assert not timeline.agrees(AUDIO, MAX_SKEW_US + 1)


def test_a_clock_may_drift_by_one_percent(timeline: RecordingTimeline, clock: WallClock) -> None:
    for second in range(7_200):
        source_us = second * 1_009_000
        assert timeline.is_between_parts or timeline.agrees(AUDIO, source_us)
        timeline.place(AUDIO, source_us)
        clock.now_ms += 1_000


def test_media_that_waited_may_be_followed_by_media_that_did_not(timeline: RecordingTimeline, clock: WallClock) -> None:
    timeline.place(AUDIO, 0)
    clock.now_ms += 8_000
    timeline.place(AUDIO, 100_000)
    assert timeline.agrees(AUDIO, 8_000_000)


def test_video_stays_close_to_audio(timeline: RecordingTimeline) -> None:
    timeline.place(AUDIO, HOUR_US)
    for distance_us in (-MAX_SKEW_US, MAX_SKEW_US):
        assert timeline.agrees(VIDEO, HOUR_US + distance_us)
        assert not timeline.agrees(VIDEO, HOUR_US + distance_us + (1 if distance_us > 0 else -1))


def test_audio_does_not_follow_video_that_is_ahead(timeline: RecordingTimeline) -> None:
    timeline.place(AUDIO, 0)
    timeline.place(VIDEO, MAX_SKEW_US)
    timeline.place(VIDEO, 2 * MAX_SKEW_US)
    assert timeline.agrees(AUDIO, 20_000)


def test_audio_that_was_silent_follows_video(timeline: RecordingTimeline, clock: WallClock) -> None:
    timeline.place(AUDIO, 0)
    clock.now_ms += HEARD_MS + 5_000
    timeline.place(VIDEO, 6_000_000)
    assert not timeline.agrees(AUDIO, 20_000)
    assert timeline.agrees(AUDIO, 6_020_000)


def test_a_moved_kind_goes_on_in_the_present(timeline: RecordingTimeline, clock: WallClock) -> None:
    timeline.place(AUDIO, 5_000_000)
    clock.now_ms += 500
    timeline.move(VIDEO, 700_000)
    assert timeline.place(VIDEO, 700_000) == 500_000
    assert timeline.place(AUDIO, 5_520_000) == 520_000


def test_a_moved_source_goes_on_in_the_present(timeline: RecordingTimeline, clock: WallClock) -> None:
    timeline.place(AUDIO, 5_000_000)
    clock.now_ms += 500
    timeline.move_all(HOUR_US)
    assert timeline.place(VIDEO, HOUR_US) == timeline.place(AUDIO, HOUR_US) == 500_000


def test_a_later_start_moves_the_part(timeline: RecordingTimeline) -> None:
    timeline.place(VIDEO, HOUR_US)
    assert timeline.place(VIDEO, HOUR_US + 700_000) == 700_000
    assert timeline.start_part_at(700_000) == 700_000
    assert timeline.place(VIDEO, HOUR_US + 720_000) == 20_000
    assert timeline.wall_clock_ms(0) == 1_000_700


def test_a_part_begins_when_its_first_frame_arrived(timeline: RecordingTimeline) -> None:
    timeline.place(VIDEO, HOUR_US, arrived_ms=999_000)
    assert timeline.wall_clock_ms(0) == 999_000


def test_the_time_of_the_media_goes_on_with_the_wall_clock(timeline: RecordingTimeline, clock: WallClock) -> None:
    timeline.place(AUDIO, 0)
    timeline.place(VIDEO, 40_000)
    clock.now_ms += 2_000
    assert timeline.now_us == 2_040_000


def test_there_is_no_time_between_parts(timeline: RecordingTimeline) -> None:
    timeline.place(AUDIO, 0)
    timeline.resume_at(3_000_000)
    assert timeline.now_us is None
    assert timeline.end_us(1) is None


def test_the_end_of_the_source_is_believed_if_it_agrees(timeline: RecordingTimeline, clock: WallClock) -> None:
    timeline.place(VIDEO, 0)
    clock.now_ms += 1_000
    assert timeline.end_us(HOUR_US) is None
    assert timeline.end_us(1_500_000) == 1_500_000
