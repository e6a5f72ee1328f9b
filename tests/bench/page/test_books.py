"""The books of the benchmark."""

from pathlib import Path

import msgspec
import pytest

from bench.page.books import LARGE, SMALL, BookPlan, build_book
from stagebook.book.sqlite.open_readers import open_reader
from stagebook.stage.events import EventName

TINY = BookPlan(sessions=2, busy_participants=2, busy_events=60, other_participants=3, other_events=4)


def test_the_large_book_has_a_million_events_and_the_small_one_ten_thousand() -> None:
    assert LARGE.events == 1_000_000
    assert SMALL.events == 10_000


def test_a_book_has_the_size_of_its_plan(tmp_path: Path) -> None:
    busy = build_book(tmp_path / "book.sqlite3", TINY)
    assert len(busy) == len(set(map(msgspec.json.encode, busy))) == 4
    reader = open_reader(tmp_path / "book.sqlite3")
    try:
        for one in busy:
            events = reader.list_events(one.stage_arn, one.session_id, one.participant_id)
            assert len(events) == TINY.busy_events
            assert (events[0].event.name, events[-1].event.name) == (EventName.JOINED, EventName.LEFT)
        assert reader.list_open_sessions() == []
    finally:
        reader.close_reading()


@pytest.mark.parametrize("plan", [LARGE, SMALL])
def test_busy_participants_have_enough_events_for_a_deep_page(plan: BookPlan) -> None:
    assert plan.busy_events > 400 + 50
