"""Reads of the history of a book in PostgreSQL: the same as of a SQLite book, also in history processes."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stagebook.book.book_errors import BookRefusedError
from stagebook.book.book_source import DatabaseSource
from stagebook.book.composition_reader import CompositionFilter
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import migrate
from stagebook.book.tables.session_history import ParticipantChoice, SessionFilter
from stagebook.history.composition_history import read_composition, read_composition_events, read_compositions
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.history.export.export_pages import export_pages, export_range
from stagebook.history.history_files import HistoryFiles
from stagebook.history.processes.history_processes import HistoryProcesses
from stagebook.history.search import table_search
from stagebook.history.search.event_search import search_events
from stagebook.history.sessions.session_reads import read_attendance, read_participants, read_session, read_sessions
from stagebook.history.sessions.stage_reads import read_stage_errors, read_stages
from stagebook.stage.errors import ServerBusyError
from tests.book.paged_reads import TRANSACTIONS, fill
from tests.book.postgres.group_writer import GroupWriter
from tests.book.sample import ACCOUNT, ARN, COMPOSITION_ARN, NOON_MS, SESSION, open_book
from tests.history.processes import sample_reads

ROOT = Path(__file__).parents[2]


def session_of(files: HistoryFiles) -> Any:  # noqa: ANN401 - compared only
    return read_session(files, SESSION, account_id=ACCOUNT)


def exported(files: HistoryFiles) -> list[Any]:
    where = EventFilter(account_id=ACCOUNT)
    return [each for page in export_pages(files.log, where, export_range(files, where)) for each in page.events]


def searched(*, oldest_first: bool, limit: int = 10, **members: Any) -> Callable[[HistoryFiles], Any]:  # noqa: ANN401 - members of the struct
    where = EventFilter(account_id=ACCOUNT, **members)
    return lambda files: search_events(files, EventQuery(where=where, limit=limit, oldest_first=oldest_first)).events


READS: dict[str, Callable[[HistoryFiles], Any]] = {
    "export": exported,
    "search": searched(oldest_first=False),
    "search, oldest first": searched(oldest_first=True, limit=2),
    "search of a session": searched(oldest_first=True, session_id=SESSION, stage_arn=ARN),
    "search of a composition": searched(oldest_first=False, composition_arn=COMPOSITION_ARN),
    "search of a user": searched(oldest_first=False, user_id=""),
    "session": session_of,
    "sessions": lambda files: read_sessions(files, SessionFilter(account_id=ACCOUNT), after=None, limit=1),
    "sessions since": lambda files: read_sessions(
        files, SessionFilter(account_id=ACCOUNT, since_ms=NOON_MS), after=None, limit=9
    ),
    "open sessions": lambda files: read_sessions(files, SessionFilter(is_open=True), after=None, limit=9),
    "participants": lambda files: read_participants(
        files, session_of(files), choice=ParticipantChoice(), after=0, limit=10, now_ms=NOON_MS + 1
    ),
    "attendance": lambda files: read_attendance(files, session_of(files), after=0, now_ms=NOON_MS + 1),
    "stages": lambda files: read_stages(files, ACCOUNT, after=None, limit=1),
    "errors of stages": lambda files: read_stage_errors(files, ACCOUNT, since_ms=0),
    "compositions": lambda files: read_compositions(files, CompositionFilter(account_id=ACCOUNT), after=None, limit=1),
    "composition": lambda files: read_composition(files, COMPOSITION_ARN),
    "events of a composition": lambda files: read_composition_events(files, COMPOSITION_ARN, after=None, limit=1),
}


@pytest.fixture
def source(postgres_url: str) -> DatabaseSource:
    """A book with TRANSACTIONS."""
    connection = PostgresConnection(postgres_url)
    migrate(connection)
    GroupWriter(connection, sequence_slots=1).write(*TRANSACTIONS)
    connection.close()
    return DatabaseSource(url=postgres_url)


@pytest.fixture
def files(source: DatabaseSource) -> Iterator[HistoryFiles]:
    with HistoryFiles(source) as files:
        yield files


async def test_the_reads_return_what_those_of_sqlite_return(files: HistoryFiles, tmp_path: Path) -> None:
    book = open_book(tmp_path / "book")
    await fill(book)
    with HistoryFiles(tmp_path / "book") as of_sqlite:
        for name, read in READS.items():
            expected = read(of_sqlite)
            assert expected, name
            assert read(files) == expected, name
    await book.close()


async def test_a_search_reads_on_behind_what_it_may_examine(
    files: HistoryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_search, "EXAMINED_EVENTS", 1)
    query = EventQuery(where=EventFilter(account_id=ACCOUNT), limit=10)
    found, position = 0, None
    for _ in range(5):
        page = search_events(files, msgspec.structs.replace(query, after=position))
        found, position = found + len(msgspec.json.decode(page.events)), page.next_position
    assert (found, position) == (4, None)


async def test_a_history_process_reads_the_database(source: DatabaseSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pool = HistoryProcesses(source, processes=1)
    assert await pool.run(sample_reads.last_sequence) > 0
    process = pool._idle[0].process_id
    words = await asyncio.to_thread(Path(f"/proc/{process}/cmdline").read_text, "utf-8")
    assert source.url not in words
    await pool.close()


async def test_a_statement_that_takes_too_long_is_ended(
    source: DatabaseSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pool = HistoryProcesses(source, processes=1, read_seconds=0.5)
    with pytest.raises(ServerBusyError, match=r"took longer than 0\.5 s"):
        await pool.run(sample_reads.sleep_in_database)
    assert await pool.run(sample_reads.last_sequence) > 0
    await pool.close()


async def test_a_database_without_a_book_is_refused(postgres_url: str) -> None:
    with pytest.raises(BookRefusedError, match="has no book"):
        HistoryFiles(DatabaseSource(url=postgres_url))


async def test_a_database_that_cannot_be_reached_is_an_error_to_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pool = HistoryProcesses(DatabaseSource(url="postgresql://nobody:secret@127.0.0.1:1/nothing"), processes=1)
    with pytest.raises(ServerBusyError, match="try again") as raised:
        await pool.run(sample_reads.last_sequence)
    assert "secret" not in str(raised.value)
    await pool.close()


def test_the_text_of_a_source_has_no_password() -> None:
    assert "secret" not in f"{DatabaseSource(url='postgresql://a:secret@b/c')!r}"


def test_a_database_has_no_search_index(files: HistoryFiles) -> None:
    assert not files.has_index
    with pytest.raises(ValueError, match="no search index"):
        _ = files.index
