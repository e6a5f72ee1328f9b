"""A search in the tables of a book returns the events that its filter matches, whatever the pages are."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.book.tables.compositions.composition_rows import (
    COMPOSITION_CAUSES,
    COMPOSITION_ERROR_CODES,
    COMPOSITION_EVENT_NAMES,
)
from stagebook.book.tables.rows import CAUSES, ERROR_CODES, EVENT_NAMES
from stagebook.book.tables.table_connection import TableConnection
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.history.history_files import HistoryFiles
from stagebook.history.search import table_search
from stagebook.history.search.table_search import find_in_tables
from stagebook.stage.errors import InvalidInputError
from stagebook.stage.events import Cause, EventName
from tests.book.sample import append, commit, end_session, open_session, put
from tests.history.search.varied_book import ACCOUNTS, FILTERS, PLANNED, STAGES, Planned, PlannedEvent, VariedBook

ALL = EventFilter(account_id=ACCOUNTS[0])
_BITS = 63


def planned(participant: str, cause: Cause) -> PlannedEvent:
    return PlannedEvent(
        stage=0, participant=participant, user="", name=EventName.JOINED, code=None, cause=cause, later_ms=1
    )


def read_pages(connection: TableConnection, query: EventQuery) -> list[list[str]]:
    """Return the event ids of all pages of a search."""
    pages: list[list[str]] = []
    while True:
        page = find_in_tables(connection, query)
        pages.append([logged.event_id for logged in page.items])
        if page.next_position is None:
            return pages
        assert page.next_position != query.after, "the pages do not advance"
        query = msgspec.structs.replace(query, after=page.next_position)


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[VariedBook]:
    book = await VariedBook.make(tmp_path)
    yield book
    await book.close()


@pytest.fixture
def tables(book: VariedBook) -> Iterator[TableConnection]:
    with HistoryFiles(book.path) as files:
        yield files.tables


def test_a_set_of_codes_fits_the_bits_of_an_integer() -> None:
    for codes in (
        EVENT_NAMES,
        ERROR_CODES,
        CAUSES,
        COMPOSITION_EVENT_NAMES,
        COMPOSITION_ERROR_CODES,
        COMPOSITION_CAUSES,
    ):
        assert len(codes) <= _BITS


async def check_pages(events: list[Planned], query: EventQuery) -> None:
    with tempfile.TemporaryDirectory() as folder:
        book = await VariedBook.make(Path(folder))
        for each in events:
            await book.write(each)
        with HistoryFiles(book.path) as files:
            pages = read_pages(files.tables, query)
        assert max(map(len, pages)) <= query.limit
        expected = book.matching(query.where)
        in_order = expected if query.oldest_first else expected[::-1]
        assert [each for page in pages for each in page] == [logged.event_id for logged in in_order]
        await book.close()


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(PLANNED, max_size=30),
    query=st.builds(EventQuery, where=FILTERS, limit=st.integers(1, 4), oldest_first=st.booleans()),
)
def test_the_pages_of_a_search_are_the_events_that_match(events: list[Planned], query: EventQuery) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_search, "EXAMINED_EVENTS", 4)
        asyncio.run(check_pages(events, query))


async def test_a_page_that_examines_too_much_is_short_and_has_a_position(
    book: VariedBook, tables: TableConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_search, "EXAMINED_EVENTS", 5)
    await book.write(planned("p1", Cause.LIMIT))
    for _ in range(9):
        await book.write(planned("p2", Cause.CLIENT))
    query = EventQuery(where=msgspec.structs.replace(ALL, cause=Cause.LIMIT), limit=10)
    assert list(map(len, read_pages(tables, query))) == [0, 1, 0]


async def test_a_session_id_of_several_stages_needs_the_stage(book: VariedBook, tables: TableConnection) -> None:
    stage_arn = STAGES[1][1]
    await commit(book.book, end_session("st-1", arn=stage_arn), open_session("st-0", arn=stage_arn))
    await commit(book.book, put("p1", arn=stage_arn, session_id="st-0"))
    await commit(book.book, append("p1", arn=stage_arn, session_id="st-0"))
    where = msgspec.structs.replace(ALL, session_id="st-0")
    with pytest.raises(InvalidInputError, match="session: is the id of several sessions"):
        find_in_tables(tables, EventQuery(where=where, limit=10))
    where = msgspec.structs.replace(where, stage_arn=stage_arn)
    assert len(find_in_tables(tables, EventQuery(where=where, limit=10)).items) == 1


@pytest.mark.parametrize("member", ["stage_arn", "session_id", "participant_id", "composition_arn"])
async def test_an_empty_text_matches_nothing(book: VariedBook, tables: TableConnection, member: str) -> None:
    await book.write(planned("p1", Cause.LIMIT))
    where = msgspec.structs.replace(ALL, **{member: ""})
    assert find_in_tables(tables, EventQuery(where=where, limit=10)).items == []


async def test_a_search_is_restricted_to_an_account(tables: TableConnection) -> None:
    with pytest.raises(ValueError, match="to an account"):
        find_in_tables(tables, EventQuery(where=EventFilter(), limit=10))
