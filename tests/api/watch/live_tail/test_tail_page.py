"""The pages of the past are the events that match, by the search index or, while that is incomplete, by the log."""

import asyncio
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.api.watch.live_tail import tail_page
from stagebook.api.watch.live_tail.tail_page import read_tail_page
from stagebook.history.event_query import EventFilter
from stagebook.history.history_files import HistoryFiles
from stagebook.history.search import event_search
from stagebook.stage.events import EventName
from tests.book.sample import (
    ACCOUNT,
    ARN,
    COMPOSITION_ARN,
    append,
    append_composition,
    commit,
    open_book,
    open_session,
    put,
    put_composition,
    put_stage,
)
from tests.history.search.varied_book import ACCOUNTS, FILTERS, PLANNED, PlannedEvent, VariedBook

EXAMPLES = 40
ONLY_LEFT = EventFilter(account_id=ACCOUNTS[0], names=frozenset({EventName.LEFT}))


def ids_in(parts: tuple[bytes, ...]) -> list[str]:
    lines = b"".join(parts).split(b"\n")
    return [json.loads(line.removeprefix(b"data: "))["id"] for line in lines if line.startswith(b"data: ")]


def read_pages(files: HistoryFiles, where: EventFilter) -> tuple[list[str], int, int]:
    """Read all pages; return the ids of their events, the number of pages, and the last position."""
    found: list[str] = []
    position = pages = 0
    while True:
        page = read_tail_page(files, position, where)
        pages += 1
        assert page.last_sent <= page.position
        found += ids_in(page.parts)
        if page.is_last:
            return found, pages, page.position
        assert page.position > position
        position = page.position


async def check_pages(planned: list[PlannedEvent], where: EventFilter) -> None:
    """Write events and compare the pages with the log."""
    with tempfile.TemporaryDirectory() as folder:
        book = await VariedBook.make(Path(folder))
        with HistoryFiles(book.path) as files:
            for each in planned:
                await book.write(each)
            assert read_pages(files, where)[0] == [each.event_id for each in book.matching(where)]
        await book.close()


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    planned=st.lists(PLANNED, max_size=30),
    where=FILTERS | st.sampled_from([EventFilter(account_id=account) for account in ACCOUNTS]),
    is_indexed=st.booleans(),
)
def test_the_pages_are_the_events_that_match(
    *, planned: list[PlannedEvent], where: EventFilter, is_indexed: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail_page, "PAGE_EVENTS", 3)
        patch.setattr(tail_page, "SEARCHED_EVENTS", 2)
        patch.setattr(tail_page, "PAGE_SIZE_BYTES", 900)
        if not is_indexed:
            patch.setattr(event_search, "CATCH_UP_BATCHES", 0)
        asyncio.run(check_pages(planned, where))


async def test_events_that_do_not_match_cost_no_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_page, "PAGE_EVENTS", 5)
    book = await VariedBook.make(tmp_path)
    for number in range(40):
        name = EventName.LEFT if number == 20 else EventName.PUBLISH_ERROR
        await book.write(PlannedEvent(stage=0, participant="p1", user="", name=name, code=None, cause=None, later_ms=1))
    with HistoryFiles(book.path) as files:
        found, pages, _ = read_pages(files, ONLY_LEFT)
        assert (len(found), pages) == (1, 1)
        assert read_pages(files, EventFilter(account_id=ACCOUNTS[0]))[1] == 9
    await book.close()


@pytest.mark.parametrize("is_filtered", [False, True])
@pytest.mark.parametrize("is_indexed", [False, True])
async def test_events_of_compositions_come_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_filtered: bool, is_indexed: bool
) -> None:
    """With a filter the index finds the events of participants, and small pages end in the middle of either kind."""
    monkeypatch.setattr(tail_page, "SEARCHED_EVENTS", 3)
    monkeypatch.setattr(tail_page, "PAGE_EVENTS", 3)
    book = open_book(tmp_path / "book.sqlite3")
    await commit(book, put_stage(), put_composition(), open_session(), put("p"))
    written: list[int] = []
    for number in range(24):
        changes = [append_composition()] * (number % 5 == 0) + [append("p")] * (number % 3 > 0)
        written += await commit(book, *changes)
    where = EventFilter(account_id=ACCOUNT, stage_arn=ARN if is_filtered else None)
    with HistoryFiles(tmp_path / "book.sqlite3") as files:
        if is_indexed:
            files.index.catch_up(maximum_batches=99)
        ids, _, _ = read_pages(files, where)
        assert ids == [each.event_id for each in files.log.read_entries_at(written)]
        named = EventFilter(account_id=ACCOUNT, names=frozenset({EventName.JOINED}))
        assert len(read_pages(files, named)[0]) == 16
        of_composition = EventFilter(account_id=ACCOUNT, composition_arn=COMPOSITION_ARN)
        assert len(read_pages(files, of_composition)[0]) == 5
        assert read_pages(files, EventFilter(account_id=ACCOUNT, composition_arn=ARN))[0] == []
    await book.close()
