"""The generated book is one that the server could have written: its events are complete, ordered and readable."""

from collections import Counter

import pytest

from bench.search.large_book import EVENTS_PER_PARTICIPANT, PARTICIPANTS_PER_SESSION, events_of, write_large_book
from stagebook.book.event_log import LoggedEvent
from stagebook.book.sqlite.open_readers import open_event_log
from stagebook.stage.events import EventName

SESSIONS = 3


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[LoggedEvent]:
    path = tmp_path_factory.mktemp("large") / "book"
    write_large_book(path, sessions=SESSIONS)
    log = open_event_log(path)
    found = log.read_after(0, limit=1_000_000)
    assert log.last_sequence() == found[-1].sequence
    log.close()
    return found


def test_every_event_is_there(events: list[LoggedEvent]) -> None:
    assert len(events) == events_of(SESSIONS)
    counts = Counter((event.session_id, event.participant_id) for event in events)
    assert set(counts.values()) == {EVENTS_PER_PARTICIPANT}
    assert len(counts) == SESSIONS * PARTICIPANTS_PER_SESSION


def test_each_participant_joins_first_and_leaves_last(events: list[LoggedEvent]) -> None:
    names: dict[str, list[EventName]] = {}
    for event in events:
        names.setdefault(event.participant_id, []).append(event.event.name)
    assert {(each[0], each[-1]) for each in names.values()} == {(EventName.JOINED, EventName.LEFT)}


def test_sessions_that_are_open_at_the_same_time_are_interleaved(events: list[LoggedEvent]) -> None:
    assert len({event.session_id for event in events[:SESSIONS]}) == SESSIONS
