"""The pages of an export: everything up to the start, exactly once, and nothing that holds up the writer."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from stagebook.history.event_query import EventFilter
from stagebook.history.export.export_pages import ExportRange, export_pages, export_range, read_export_page
from stagebook.history.history_files import HistoryFiles
from stagebook.stage.events import EventName
from tests.book.sample import NOON_MS, SESSION, append, commit, end_session, open_book, open_session, put
from tests.history.export.exported_book import write_events

EVENTS = 25


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "book"
    asyncio.run(write_events(path, EVENTS))
    return path


@pytest.fixture
def files(path: Path) -> Iterator[HistoryFiles]:
    with HistoryFiles(path) as files:
        yield files


def exported(files: HistoryFiles, where: EventFilter) -> list[int]:
    """Return the sequence numbers of all events of an export."""
    pages = export_pages(files.log, where, export_range(files, where))
    return [event.sequence for page in pages for event in page.events]


@pytest.mark.parametrize("page_size", [1, 7, EVENTS, 1_000])
def test_every_event_comes_once_and_in_order(
    files: HistoryFiles, monkeypatch: pytest.MonkeyPatch, page_size: int
) -> None:
    monkeypatch.setattr(read_export_page, "__kwdefaults__", {"limit": page_size})
    everything = [event.sequence for event in files.log.read_after(0, limit=1_000)]
    assert exported(files, EventFilter()) == everything == sorted(set(everything))
    middle = EventFilter(since_ms=NOON_MS + 5, until_ms=NOON_MS + 10)
    assert exported(files, middle) == everything[5:10]
    assert exported(files, EventFilter(names=frozenset({EventName.LEFT}))) == everything[4::5]
    assert exported(files, EventFilter(session_id=SESSION)) == everything
    assert exported(files, EventFilter(session_id="st-0")) == []
    assert exported(files, EventFilter(until_ms=0)) == []


async def test_what_is_appended_later_is_not_included(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_export_page, "__kwdefaults__", {"limit": 10})
    book = open_book(path)
    with HistoryFiles(path) as files:
        where, found = EventFilter(session_id=SESSION), 0
        for page in export_pages(files.log, where, export_range(files, where)):
            found += len(page.events)
            await commit(book, append("p", EventName.JOINED, at_ms=NOON_MS + 100))
        assert found == EVENTS
        assert len(exported(files, where)) == EVENTS + 3
    await book.close()


async def test_an_export_of_an_ended_session_reads_no_further(path: Path) -> None:
    book = open_book(path)
    await commit(book, end_session(end_ms=NOON_MS + 50))
    await commit(book, open_session("st-next", start_ms=NOON_MS + 60), put("q", session_id="st-next"))
    await commit(book, append("q", session_id="st-next", at_ms=NOON_MS + 60))
    await book.close()
    with HistoryFiles(path) as files:
        last = files.log.read_after(0, limit=1_000)[-2].sequence
        within = export_range(files, EventFilter(session_id=SESSION))
        assert last <= within.last < (NOON_MS + 60) << 20
        assert len(exported(files, EventFilter(session_id=SESSION))) == EVENTS
        assert len(exported(files, EventFilter(session_id="st-next"))) == 1


def test_the_log_can_be_truncated_between_two_pages(
    path: Path, files: HistoryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that finds a reader in a transaction reports that it is busy, and the log goes on growing."""
    monkeypatch.setattr(read_export_page, "__kwdefaults__", {"limit": 10})
    writing = apsw.Connection(str(path))
    for _ in export_pages(files.log, EventFilter(), export_range(files, EventFilter())):
        writing.execute("UPDATE stage SET name = name || '.'")
        assert writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall() == [(0, 0, 0)]
    writing.close()


def test_a_fraction_is_that_of_the_time() -> None:
    within = ExportRange(after=100, last=300)
    assert [within.fraction(position) for position in (0, 100, 200, 300, 400)] == [0, 0, 0.5, 1, 1]
    assert ExportRange(after=5, last=5).fraction(5) == 1
