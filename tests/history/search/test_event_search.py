"""A search returns the events that its filter matches, whatever the pages are and while new events arrive."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.history.composition_document import entry_document
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.history.history_files import HistoryFiles
from stagebook.history.search import event_search, search_index
from stagebook.history.search.event_search import SearchPage, search_events
from stagebook.stage.errors import InvalidInputError, ServerBusyError
from stagebook.stage.events import Cause, EventName
from tests.book.sample import append, commit, end_session, open_session, put
from tests.history.search.varied_book import (
    ACCOUNTS,
    FILTERS,
    PLANNED,
    PLANNED_OF_COMPOSITIONS,
    PLANNED_OF_PARTICIPANTS,
    STAGES,
    Planned,
    PlannedEvent,
    VariedBook,
    delete_events,
)

ALL = EventFilter(account_id=ACCOUNTS[0])


def planned(name: EventName = EventName.JOINED, **members: Any) -> PlannedEvent:  # noqa: ANN401 - members of the struct
    defaults: dict[str, Any] = {"stage": 0, "participant": "p1", "user": "", "code": None, "cause": None, "later_ms": 1}
    return PlannedEvent(**defaults | members, name=name)


def ids_of(page: SearchPage) -> list[str]:
    return [event["id"] for event in msgspec.json.decode(page.events)]


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[VariedBook]:
    book = await VariedBook.make(tmp_path)
    yield book
    await book.close()


@pytest.fixture
def files(book: VariedBook) -> Iterator[HistoryFiles]:
    with HistoryFiles(book.path) as files:
        yield files


@contextmanager
def small_bounds() -> Iterator[None]:
    """Let small books reach every bound: of a batch, of the entries that a page examines, of those that are few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_index, "BATCH_SIZE_EVENTS", 3)
        patch.setattr(event_search, "CATCH_UP_BATCHES", 1_000)
        patch.setattr(event_search, "MAXIMUM_EXAMINED", 4)
        patch.setattr(event_search, "FEW_ENTRIES", 3)
        yield


async def check_pages(
    before: list[Planned], between: list[Planned], where: EventFilter, *, limit: int, oldest_first: bool
) -> None:
    """Write events, read all pages of a search and write another event after each, and compare with the log."""
    with tempfile.TemporaryDirectory() as folder:
        book = await VariedBook.make(Path(folder))
        with HistoryFiles(book.path) as files:
            for each in before:
                await book.write(each)
            expected = book.matching(where)[::-1]
            found: list[str] = []
            query = EventQuery(where=where, limit=limit, oldest_first=oldest_first)
            while True:
                page = search_events(files, query)
                assert len(ids_of(page)) <= limit
                found += ids_of(page)
                if page.next_position is None:
                    break
                assert page.next_position != query.after, "the pages do not advance"
                query = msgspec.structs.replace(query, after=page.next_position)
                if between:
                    await book.write(between.pop())
            if oldest_first:
                expected = book.matching(where)
            assert found == [logged.event_id for logged in expected]
        await book.close()


# The user id of a participant must not change while pages are read: then other events match.
LATER: st.SearchStrategy[Planned] = PLANNED_OF_COMPOSITIONS | PLANNED_OF_PARTICIPANTS.map(
    lambda each: msgspec.structs.replace(each, participant=f"later-{each.participant}", name=EventName.LEFT)
)


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(PLANNED, max_size=30),
    between=st.lists(LATER, max_size=5),
    where=FILTERS,
    limit=st.integers(1, 4),
    oldest_first=st.booleans(),
)
def test_the_pages_of_a_search_are_the_events_that_match(
    *, before: list[Planned], between: list[Planned], where: EventFilter, limit: int, oldest_first: bool
) -> None:
    with small_bounds():
        asyncio.run(check_pages(before, between, where, limit=limit, oldest_first=oldest_first))


async def test_a_search_sees_what_was_durable_before_it(book: VariedBook, files: HistoryFiles) -> None:
    for count in range(3):
        assert len(ids_of(search_events(files, EventQuery(where=ALL, limit=10)))) == count
        await book.write(planned())


async def test_a_search_sees_its_account_only(book: VariedBook, files: HistoryFiles) -> None:
    for number in range(len(STAGES)):
        await book.write(planned(stage=number))
    for _, arn in STAGES[2:]:
        other = msgspec.structs.replace(ALL, stage_arn=arn)
        assert ids_of(search_events(files, EventQuery(where=other, limit=10))) == []
    assert len(ids_of(search_events(files, EventQuery(where=ALL, limit=10)))) == 2


async def test_the_events_are_documents(book: VariedBook, files: HistoryFiles) -> None:
    await book.write(planned(EventName.PUBLISH_ERROR, cause=Cause.LIMIT))
    page = search_events(files, EventQuery(where=ALL, limit=10))
    assert page.events == msgspec.json.encode([entry_document(logged) for logged in book.matching(ALL)])


async def test_a_new_user_id_applies_to_the_events_before_it(book: VariedBook, files: HistoryFiles) -> None:
    for user in ("ann", "bob"):
        await book.write(planned(user=user))
        search_events(files, EventQuery(where=ALL, limit=10))
    ann, bob = (msgspec.structs.replace(ALL, user_id=user) for user in ("ann", "bob"))
    assert ids_of(search_events(files, EventQuery(where=ann, limit=10))) == []
    assert len(ids_of(search_events(files, EventQuery(where=bob, limit=10)))) == 2


async def test_a_page_that_examines_too_much_is_short_and_has_a_position(
    book: VariedBook, files: HistoryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_search, "MAXIMUM_EXAMINED", 5)
    monkeypatch.setattr(event_search, "FEW_ENTRIES", 2)
    await book.write(planned(cause=Cause.LIMIT))
    for _ in range(6):
        await book.write(planned(cause=Cause.CLIENT))
        await book.write(planned(participant="p2", cause=Cause.LIMIT))
    where = msgspec.structs.replace(ALL, cause=Cause.LIMIT, participant_id="p1")
    positions: list[int | None] = []
    query = EventQuery(where=where, limit=10)
    sizes = []
    while not positions or positions[-1] is not None:
        page = search_events(files, msgspec.structs.replace(query, after=positions[-1] if positions else None))
        positions.append(page.next_position)
        sizes.append(len(ids_of(page)))
    assert sizes == [0, 1]


async def test_a_session_id_of_several_stages_needs_the_stage(book: VariedBook, files: HistoryFiles) -> None:
    second = open_session("st-0", arn=STAGES[1][1])
    await commit(book.book, end_session("st-1", arn=STAGES[1][1]), second)
    await commit(book.book, put("p1", arn=STAGES[1][1], session_id="st-0"))
    await commit(book.book, append("p1", arn=STAGES[1][1], session_id="st-0"))
    await book.write(planned())
    where = msgspec.structs.replace(ALL, session_id="st-0")
    with pytest.raises(InvalidInputError, match="session: is the id of several sessions"):
        search_events(files, EventQuery(where=where, limit=10))
    where = msgspec.structs.replace(where, stage_arn=STAGES[1][1])
    assert len(ids_of(search_events(files, EventQuery(where=where, limit=10)))) == 1


async def test_a_search_is_refused_while_a_large_book_is_indexed(
    book: VariedBook, files: HistoryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "BATCH_SIZE_EVENTS", 1)
    for _ in range(4):
        await book.write(planned())
    with pytest.raises(ServerBusyError, match="has reached 33% of the book"):
        search_events(files, EventQuery(where=ALL, limit=10))
    assert len(ids_of(search_events(files, EventQuery(where=ALL, limit=10)))) == 4


async def test_events_that_the_book_no_longer_has_are_left_out(book: VariedBook, files: HistoryFiles) -> None:
    for _ in range(3):
        await book.write(planned())
    search_events(files, EventQuery(where=ALL, limit=10))
    kept = [logged.event_id for logged in book.matching(ALL)][1:]
    delete_events(book.path, "sequence IN (SELECT min(sequence) FROM event)")
    assert ids_of(search_events(files, EventQuery(where=ALL, limit=10, oldest_first=True))) == kept
