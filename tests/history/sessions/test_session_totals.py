"""The totals of a session, against a naive model of it."""

import pickle
import random
import tracemalloc
from collections import defaultdict
from collections.abc import Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.book.book_values import RecordedEvent
from stagebook.history.sessions.participant_report import report_participant
from stagebook.history.sessions.session_totals import Peak, SessionTotals, TotalsAccumulator
from stagebook.stage.events import Cause, ErrorCode, Event, EventName
from tests.executed_lines import counted_lines
from tests.history.sessions.naive_report import naive_totals

NAMES = [
    EventName.JOINED,
    EventName.LEFT,
    EventName.PUBLISH_STARTED,
    EventName.PUBLISH_STOPPED,
    EventName.SUBSCRIBE_STARTED,
    EventName.SUBSCRIBE_STOPPED,
]
STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(NAMES), st.sampled_from("xy"), st.integers(0, 3)), max_size=40
)


def recorded(
    who: str, name: EventName, *, sequence: int, remote: str | None = None, **members: object
) -> RecordedEvent:
    event = Event(name=name, remote_participant_id=remote, **members)  # type: ignore[arg-type] # members of Event
    return RecordedEvent(sequence=sequence, participant_id=who, event=event)


def history(steps: Sequence[tuple[str, EventName, str, int]]) -> list[RecordedEvent]:
    """Return events, each some milliseconds after the one before. Several may be in one millisecond."""
    events, time_ms = [], 1_000
    for counter, (who, name, remote, pause_ms) in enumerate(steps):
        time_ms += pause_ms
        is_watching = name in (EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED)
        sequence = time_ms << 20 | counter
        events.append(recorded(who, name, sequence=sequence, remote=remote if is_watching else None))
    return events


def totals(
    events: Iterable[RecordedEvent], *, session_end_ms: int | None = None, now_ms: int = 10_000
) -> SessionTotals:
    by_participant: dict[str, list[RecordedEvent]] = defaultdict(list)
    for event in events:
        by_participant[event.participant_id].append(event)
    accumulator = TotalsAccumulator(now_ms=now_ms)
    for own in by_participant.values():
        accumulator.add(report_participant(own, session_end_ms=session_end_ms))
    return accumulator.totals()


def peak(number_and_time: tuple[int, int | None]) -> Peak:
    number, time_ms = number_and_time
    return Peak(number=number, time_ms=time_ms)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, is_open=st.booleans())
def test_totals_agree_with_the_naive_model(steps: list[tuple[str, EventName, str, int]], is_open: bool) -> None:  # noqa: FBT001 - hypothesis
    events = history(steps)
    last_ms = events[-1].time_ms if events else 1_000
    session_end_ms = None if is_open else last_ms + 5
    found = totals(events, session_end_ms=session_end_ms, now_ms=last_ms + 9)
    expected = naive_totals(events, session_end_ms=session_end_ms, now_ms=last_ms + 9)
    assert (found.participant_ms, found.publisher_ms, found.subscriber_ms) == (
        expected.participant_ms,
        expected.publisher_ms,
        expected.subscriber_ms,
    )
    assert found.peak_participants == peak(expected.peak_participants)
    assert found.peak_publishers == peak(expected.peak_publishers)
    assert found.events == len(events)
    assert sum(found.event_counts.values()) == len(events)


def test_a_peak_counts_nobody_who_left_in_the_same_millisecond_before() -> None:
    steps = [("a", EventName.JOINED, "", 0), ("a", EventName.LEFT, "", 2), ("b", EventName.JOINED, "", 0)]
    assert totals(history(steps)).peak_participants == Peak(number=1, time_ms=1_000)


def test_errors_causes_and_refused_participants_are_counted() -> None:
    events = [
        recorded("a", EventName.JOINED, sequence=1 << 20),
        recorded("a", EventName.PUBLISH_ERROR, sequence=2 << 20, error_code=ErrorCode.INVALID_INPUT),
        recorded("a", EventName.LEFT, sequence=3 << 20, cause=Cause.CRASH_RECOVERY),
        recorded("b", EventName.JOIN_ERROR, sequence=4 << 20, error_code=ErrorCode.QUOTA_EXCEEDED),
    ]
    found = totals(events)
    assert (found.participants, found.refused_participants) == (1, 1)
    assert found.error_counts == {ErrorCode.INVALID_INPUT: 1, ErrorCode.QUOTA_EXCEEDED: 1}
    assert found.left_causes == {Cause.CRASH_RECOVERY: 1}


def test_an_accumulator_goes_on_in_another_process() -> None:
    first = TotalsAccumulator(now_ms=10_000)
    first.add(report_participant([recorded("a", EventName.JOINED, sequence=1_000 << 20)]))
    second = pickle.loads(pickle.dumps(first))  # noqa: S301 - its own
    second.add(report_participant([recorded("b", EventName.JOINED, sequence=2_000 << 20)]))
    assert second.totals().peak_participants == Peak(number=2, time_ms=2_000)
    assert second.totals().participant_ms == 17_000


def _large(participants: int, events_of_each: int) -> TotalsAccumulator:
    randomness = random.Random(1)
    accumulator = TotalsAccumulator(now_ms=10_000_000)
    for number in range(participants):
        times = sorted(randomness.sample(range(1_000_000), events_of_each))
        names = (EventName.JOINED, EventName.LEFT)
        accumulator.add(
            report_participant(
                recorded(f"p{number}", names[index % 2], sequence=time << 20 | number)
                for index, time in enumerate(times)
            )
        )
    return accumulator


def test_the_work_is_in_proportion_to_the_events() -> None:
    with counted_lines() as small:
        _large(100, 20).totals()
    with counted_lines() as large:
        _large(400, 20).totals()
    assert large.lines <= 4.1 * small.lines


def test_the_memory_is_a_few_bytes_for_each_interval() -> None:
    tracemalloc.start()
    accumulator = _large(1_000, 20)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert accumulator.events == 20_000
    assert held < 10_000 * 2 * 8 * 2 + 50_000
