"""The report of one participant: intervals, errors, and their ends."""

import pytest

from stagebook.book.book_values import RecordedEvent
from stagebook.history.sessions.participant_report import Interval, ParticipantReport, report_participant
from stagebook.stage.events import (
    Cause,
    ErrorCode,
    Event,
    EventName,
    RecordingDetails,
    RecordingErrorCode,
    ReplicationDestination,
)

JOINED, LEFT = EventName.JOINED, EventName.LEFT
STARTED, STOPPED = EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED
ELSEWHERE = ReplicationDestination(stage_arn="arn", session_id="st-2")


def at(second: int, name: EventName, remote: str | None = None, **members: object) -> RecordedEvent:
    """Return an event of participant `p`, this many seconds after the epoch."""
    event = Event(name=name, remote_participant_id=remote, **members)  # type: ignore[arg-type] # members of Event
    return RecordedEvent(sequence=second * 1_000 << 20, participant_id="p", event=event)


def report(*events: RecordedEvent, end: int | None = None) -> ParticipantReport:
    return report_participant(events, session_end_ms=None if end is None else end * 1_000)


def seconds(intervals: tuple[Interval, ...]) -> list[tuple[int, int | None]]:
    return [
        (interval.start_ms // 1_000, None if interval.end_ms is None else interval.end_ms // 1_000)
        for interval in intervals
    ]


def test_starts_and_ends_delimit_intervals_with_the_cause_of_their_end() -> None:
    found = report(
        at(1, JOINED),
        at(2, EventName.PUBLISH_STARTED),
        at(3, STARTED, "q"),
        at(5, STOPPED, "q", cause=Cause.PUBLISHER_STOPPED),
        at(7, EventName.PUBLISH_STOPPED, cause=Cause.CLIENT),
        at(8, LEFT, cause=Cause.PEER_LOST, detail="no consent"),
    )
    assert (seconds(found.joined), seconds(found.published)) == ([(1, 8)], [(2, 7)])
    assert {who: seconds(intervals) for who, intervals in found.watched.items()} == {"q": [(3, 5)]}
    assert (found.joined[0].end_cause, found.joined[0].end_detail) == (Cause.PEER_LOST, "no consent")
    assert found.watched["q"][0].end_cause is Cause.PUBLISHER_STOPPED
    assert (found.joined_ms(0), found.published_ms(0), found.watched_ms(0)) == (7_000, 5_000, 2_000)


def test_who_comes_back_has_several_intervals() -> None:
    found = report(at(1, JOINED), at(2, LEFT), at(5, JOINED), at(9, LEFT))
    assert seconds(found.joined) == [(1, 2), (5, 9)]
    assert found.joined_ms(0) == 5_000


def test_two_subscriptions_to_one_publisher_are_watched_once() -> None:
    found = report(at(1, STARTED, "q"), at(2, STARTED, "q"), at(3, STOPPED, "q"), at(6, STOPPED, "q"))
    assert seconds(found.watched["q"]) == [(1, 6)]


def test_two_publishers_are_watched_independently() -> None:
    found = report(at(1, STARTED, "q"), at(2, STARTED, "r"), at(3, STOPPED, "q"), at(6, STOPPED, "r"))
    assert (seconds(found.watched["q"]), seconds(found.watched["r"])) == ([(1, 3)], [(2, 6)])
    assert found.watched_ms(0) == 6_000


def test_left_ends_what_nothing_else_has_ended_but_no_replication() -> None:
    found = report(
        at(1, JOINED),
        at(1, EventName.PUBLISH_STARTED),
        at(2, STARTED, "q"),
        at(3, EventName.REPLICATION_STARTED, destination=ELSEWHERE),
        at(6, LEFT, cause=Cause.CRASH_RECOVERY),
        at(9, EventName.REPLICATION_STOPPED, destination=ELSEWHERE),
    )
    assert [seconds(each) for each in (found.joined, found.published, found.watched["q"])] == [
        [(1, 6)],
        [(1, 6)],
        [(2, 6)],
    ]
    assert {interval.end_cause for interval in found.published + found.watched["q"]} == {Cause.CRASH_RECOVERY}
    assert seconds(found.replicated[ELSEWHERE]) == [(3, 9)]


def test_an_open_session_has_open_intervals_that_count_up_to_now() -> None:
    found = report(at(1, JOINED), at(2, EventName.PUBLISH_STARTED))
    assert (seconds(found.joined), seconds(found.published)) == ([(1, None)], [(2, None)])
    assert (found.joined_ms(11_000), found.published_ms(11_000)) == (10_000, 9_000)
    assert found.joined_ms(0) == 0


def test_an_ended_session_ends_what_is_open() -> None:
    found = report(at(1, JOINED), at(4, EventName.PUBLISH_STARTED), end=6)
    assert (seconds(found.joined), seconds(found.published)) == ([(1, 6)], [(4, 6)])
    assert found.joined[0].end_cause is None


@pytest.mark.parametrize("name", [LEFT, STOPPED, EventName.PUBLISH_STOPPED, EventName.REPLICATION_STOPPED])
def test_an_end_without_a_start_changes_no_interval(name: EventName) -> None:
    found = report(at(1, name), at(2, JOINED), at(3, LEFT), at(4, name))
    assert seconds(found.joined) == [(2, 3)]
    assert (found.published, found.watched, found.replicated) == ((), {}, {})


def test_errors_are_listed_and_all_events_counted() -> None:
    found = report(
        at(1, EventName.SUBSCRIBE_ERROR, "q", error_code=ErrorCode.PUBLISHER_NOT_FOUND, detail="no such publisher"),
        at(2, JOINED),
        at(3, EventName.PUBLISH_ERROR, error_code=ErrorCode.INVALID_INPUT, cause=Cause.LIMIT),
    )
    assert [
        (error.sequence >> 20, error.code, error.remote_participant_id, error.detail) for error in found.errors
    ] == [
        (1_000, ErrorCode.PUBLISHER_NOT_FOUND, "q", "no such publisher"),
        (3_000, ErrorCode.INVALID_INPUT, None, None),
    ]
    assert found.errors[1].cause is Cause.LIMIT
    assert found.event_counts == {EventName.SUBSCRIBE_ERROR: 1, JOINED: 1, EventName.PUBLISH_ERROR: 1}


def recorded(second: int, name: EventName, prefix: str, **members: object) -> RecordedEvent:
    details = RecordingDetails(bucket_name="shows", prefix=prefix, **members)  # type: ignore[arg-type] # members of it
    return at(second, name, recording=details)


def test_a_recording_begins_and_ends_with_its_events_and_lasts_as_long_as_they_say() -> None:
    found = report(
        at(1, JOINED),
        recorded(2, EventName.RECORDING_STARTED, "a"),
        at(5, LEFT),
        recorded(8, EventName.RECORDING_ENDED, "a", duration_ms=2_500),
        recorded(9, EventName.RECORDING_STARTED, "b"),
        end=6,
    )
    times = [(each.prefix, each.start_ms, each.end_ms, each.duration_ms) for each in found.recordings]
    assert times == [("a", 2_000, 8_000, 2_500), ("b", 9_000, None, None)]
    assert found.recorded_ms() == 2_500
    assert seconds(found.joined) == [(1, 5)]


def test_a_recording_that_fails_says_why() -> None:
    code = RecordingErrorCode.ACCESS_DENIED
    (found,) = report(recorded(2, EventName.RECORDING_START_FAILED, "a", error_code=code)).recordings
    assert (found.start_ms, found.end_ms, found.duration_ms) == (2_000, 2_000, None)
    assert (found.error_code, found.reason) == (code, "Access denied to S3 bucket. Please verify your bucket policy.")
