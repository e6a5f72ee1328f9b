"""The timeline of a recording: parts, gaps, and clocks that jump."""

import pytest

from stagebook.media.recording.recording_timeline import MAX_BACK_US, MAX_DEVIATION_US, RecordingTimeline

HOUR_US = 3_600_000_000


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
    assert timeline.place(HOUR_US) == 0
    assert timeline.place(HOUR_US + 20_000) == 20_000


def test_a_part_begins_where_the_recording_ended(timeline: RecordingTimeline) -> None:
    timeline.place(HOUR_US)
    timeline.resume_at(5_000_000)
    assert not timeline.agrees(HOUR_US + 1)
    assert timeline.place(7 * HOUR_US) == 5_000_000


def test_a_gap_agrees_as_far_as_time_has_passed(timeline: RecordingTimeline, clock: WallClock) -> None:
    timeline.place(0)
    assert timeline.agrees(MAX_DEVIATION_US)
    assert not timeline.agrees(MAX_DEVIATION_US + 1)
    clock.now_ms += 3_600_000
    assert timeline.agrees(HOUR_US + MAX_DEVIATION_US)
    assert not timeline.agrees(HOUR_US + MAX_DEVIATION_US + 1)


def test_a_frame_may_be_a_little_older_than_the_newest_one(timeline: RecordingTimeline) -> None:
    timeline.place(0)
    timeline.place(HOUR_US)
    assert timeline.agrees(HOUR_US - MAX_BACK_US)
    assert not timeline.agrees(HOUR_US - MAX_BACK_US - 1)


def test_a_later_start_moves_the_part(timeline: RecordingTimeline) -> None:
    timeline.place(HOUR_US)
    assert timeline.place(HOUR_US + 700_000) == 700_000
    assert timeline.start_part_at(700_000) == 700_000
    assert timeline.place(HOUR_US + 720_000) == 20_000
    assert timeline.wall_clock_ms(0) == 1_000_700


def test_the_time_of_the_media_goes_on_with_the_wall_clock(timeline: RecordingTimeline, clock: WallClock) -> None:
    timeline.place(0)
    timeline.place(40_000)
    clock.now_ms += 2_000
    assert timeline.now_us == 2_040_000


def test_there_is_no_time_between_parts(timeline: RecordingTimeline) -> None:
    timeline.place(0)
    timeline.resume_at(3_000_000)
    assert timeline.now_us is None
