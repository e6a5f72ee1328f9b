"""The search index follows its book, is made again when it does not belong to it, and forgets what was deleted."""

import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from stagebook.history.search import index_file, index_schema, search_index
from stagebook.history.search.search_index import SearchIndex
from stagebook.stage.composition.composition_events import CompositionEventName
from stagebook.stage.errors import ServerBusyError
from stagebook.stage.events import EventName
from tests.history.search.varied_book import PlannedCompositionEvent, PlannedEvent, VariedBook, delete_events

ALL_BATCHES = 1_000
TABLES = ("account", "user", "participant", "span", "entry")


def planned(participant: str = "p1", **members: Any) -> PlannedEvent:  # noqa: ANN401 - members of the struct
    defaults: dict[str, Any] = {"stage": 0, "user": "", "name": EventName.JOINED, "code": None, "cause": None}
    return PlannedEvent(**defaults | {"later_ms": 1} | members, participant=participant)


def planned_of_composition(number: int) -> PlannedCompositionEvent:
    name = CompositionEventName.COMPOSITION_STARTED
    return PlannedCompositionEvent(composition=number, name=name, code=None, cause=None, later_ms=1)


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[VariedBook]:
    """A book with five events of three participants."""
    book = await VariedBook.make(tmp_path)
    for participant in ("p1", "p2", "p1", "p3", "p2"):
        await book.write(planned(participant, user=f"user of {participant}"))
    yield book
    await book.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.sqlite3"


def open_index(book: VariedBook, path: Path) -> SearchIndex:
    return SearchIndex.open(path, book_path=book.path)


def contents(index: SearchIndex) -> dict[str, list[tuple[Any, ...]]]:
    return {table: index.rows(f"SELECT * FROM {table}") for table in TABLES}  # noqa: S608 - constants


def complete_contents(book: VariedBook, path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Open the index at `path`, complete it, and return its contents."""
    index = open_index(book, path)
    assert index.catch_up(maximum_batches=ALL_BATCHES).is_complete
    found = contents(index)
    index.close()
    return found


def damage(path: Path, *, after_pages: int) -> None:
    """Overwrite the pages of a file after the first ones."""
    content = bytearray(path.read_bytes())
    start = after_pages * int.from_bytes(content[16:18], "big")
    content[start:] = b"\xff" * (len(content) - start)
    path.write_bytes(content)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_file_is_private(book: VariedBook, path: Path) -> None:
    complete_contents(book, path)
    assert mode_of(path) == 0o600


async def test_batches_add_up(book: VariedBook, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = complete_contents(book, path)
    assert len(at_once["entry"]) == 5
    monkeypatch.setattr(search_index, "BATCH_SIZE_EVENTS", 2)
    index = open_index(book, tmp_path / "other")
    progress = [index.catch_up(maximum_batches=1) for _ in range(3)]
    assert [each.is_complete for each in progress] == [False, False, True]
    assert [each.share for each in progress] == [0.25, 0.75, 1.0]
    assert contents(index) == at_once
    index.close()


async def test_an_event_that_arrives_meanwhile_does_not_make_the_index_incomplete(
    book: VariedBook, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index(book, path)
    add_batch = index._add_batch

    def add_batch_while_an_event_arrives() -> None:
        add_batch()
        connection = apsw.Connection(str(book.path))
        connection.execute("UPDATE sequencer SET last_sequence = last_sequence + 1").fetchall()
        connection.close()

    monkeypatch.setattr(index, "_add_batch", add_batch_while_an_event_arrives)
    assert index.catch_up(maximum_batches=1).is_complete
    index.close()


async def test_the_end_of_a_session_leaves_nothing_to_add(book: VariedBook, path: Path) -> None:
    index = open_index(book, path)
    last = index.catch_up(maximum_batches=ALL_BATCHES).last_sequence
    assert last == book.book.last_sequence()
    assert index.catch_up(maximum_batches=0).is_complete
    index.close()


async def test_two_processes_add_each_event_once(
    book: VariedBook, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = complete_contents(book, tmp_path / "other")
    monkeypatch.setattr(search_index, "BATCH_SIZE_EVENTS", 1)
    indexes = [open_index(book, path) for _ in range(2)]
    while not all([index.catch_up(maximum_batches=1).is_complete for index in indexes]):  # noqa: C419 - both go on
        pass
    assert contents(indexes[0]) == contents(indexes[1]) == expected
    for index in indexes:
        index.close()


async def test_a_batch_that_fails_leaves_nothing_behind(
    book: VariedBook, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index(book, path)
    with monkeypatch.context() as patch:
        patch.setattr(index_schema, "SET_LAST_SEQUENCE", "SELECT missing")
        with pytest.raises(apsw.SQLError):
            index.catch_up(maximum_batches=1)
    assert contents(index) == {table: [] for table in TABLES}
    index.catch_up(maximum_batches=1)
    assert contents(index) == complete_contents(book, tmp_path / "other")
    index.close()


async def test_an_index_of_another_version_is_made_again(book: VariedBook, path: Path) -> None:
    expected = complete_contents(book, path)
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM entry WHERE TRUE; PRAGMA user_version = 99").fetchall()
    connection.close()
    assert complete_contents(book, path) == expected


@pytest.mark.parametrize("after_pages", [0, 2])
async def test_a_damaged_index_is_made_again(book: VariedBook, path: Path, after_pages: int) -> None:
    expected = complete_contents(book, path)
    damage(path, after_pages=after_pages)
    assert complete_contents(book, path) == expected
    index = open_index(book, path)
    assert index.rows("PRAGMA auto_vacuum") == [(2,)]
    assert index.rows("PRAGMA journal_mode") == [("wal",)]
    index.close()


async def test_damage_that_is_met_later_empties_the_index(
    book: VariedBook, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = complete_contents(book, path)
    damage(path, after_pages=2)
    with monkeypatch.context() as patch:
        patch.setattr(index_file, "_is_of_book", lambda _connection: True)
        index = open_index(book, path)
    with pytest.raises(ServerBusyError):
        index.rows("SELECT * FROM entry")
    assert index.is_closed
    assert complete_contents(book, path) == expected


async def test_an_index_that_is_ahead_of_a_restored_book_is_made_again(
    book: VariedBook, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "backup").mkdir()
    await book.close()
    shutil.copy(book.path, tmp_path / "backup" / "book.sqlite3")
    book = VariedBook(tmp_path)
    await book.write(planned("lost"))
    complete_contents(book, path)
    await book.close()
    shutil.copy(tmp_path / "backup" / "book.sqlite3", book.path)
    restored = VariedBook(tmp_path)
    assert len(complete_contents(restored, path)["entry"]) == 5
    await restored.close()


async def test_an_index_of_a_restored_book_that_has_new_events_is_made_again(
    book: VariedBook, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "backup").mkdir()
    await book.close()
    shutil.copy(book.path, tmp_path / "backup" / "book.sqlite3")
    book = VariedBook(tmp_path)
    await book.write(planned("lost", later_ms=100))
    complete_contents(book, path)
    await book.close()
    shutil.copy(tmp_path / "backup" / "book.sqlite3", book.path)
    restored = VariedBook(tmp_path)
    await restored.write(planned("new", later_ms=200))
    found = complete_contents(restored, path)
    assert [participant for _, participant in found["participant"]] == ["p1", "p2", "p3", "new"]
    await restored.close()


async def test_deleted_events_leave_no_trace(book: VariedBook, path: Path) -> None:
    await book.write(planned("p9", stage=1, user="kept"))
    index = open_index(book, path)
    index.catch_up(maximum_batches=ALL_BATCHES)
    delete_events(book.path, "session_key = 1")
    while index.trim():
        pass
    found = contents(index)
    assert [user for *_, user in found["user"]] == ["kept"]
    assert [participant for _, participant in found["participant"]] == ["p9"]
    assert [session for session, *_ in found["span"]] == [2]
    assert len(found["entry"]) == 1
    index.close()


async def test_a_session_whose_deletion_goes_on_is_trimmed_again(
    book: VariedBook, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "ENTRIES_PER_TRIM", 1)
    index = open_index(book, path)
    index.catch_up(maximum_batches=ALL_BATCHES)
    for participant, left in ((1, ["p2", "p3"]), (2, ["p3"]), (3, [])):
        delete_events(book.path, f"participant_number = {participant}")
        while index.trim():
            pass
        assert [participant for _, participant in contents(index)["participant"]] == left
    assert contents(index)["span"] == []
    index.close()


async def test_a_deleted_composition_leaves_no_entry(
    book: VariedBook, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "ENTRIES_PER_TRIM", 2)
    monkeypatch.setattr(search_index, "SPANS_PER_TRIM", 1)
    for number in (0, 1, 1, 1, 2):
        await book.write(planned_of_composition(number))
    index = open_index(book, path)
    index.catch_up(maximum_batches=ALL_BATCHES)
    connection = apsw.Connection(str(book.path))
    connection.execute("DELETE FROM composition WHERE composition_key = 2").fetchall()
    connection.close()
    while index.trim():
        pass
    assert index.rows("SELECT composition_key FROM entry WHERE composition_key IS NOT NULL") == [(1,), (3,)]
    assert len(contents(index)["entry"]) == 7
    index.close()


async def test_an_index_whose_newest_entry_is_of_a_composition_is_continued(book: VariedBook, path: Path) -> None:
    await book.write(planned_of_composition(0))
    expected = complete_contents(book, path)
    await book.write(planned("p4"))
    assert complete_contents(book, path)["entry"][:-1] == expected["entry"]


async def test_an_index_of_a_restored_book_with_another_event_of_a_composition_is_made_again(
    book: VariedBook, path: Path
) -> None:
    await book.write(planned_of_composition(0))
    complete_contents(book, path)
    connection = apsw.Connection(str(book.path))
    connection.execute("UPDATE composition_event SET name = 1").fetchall()
    connection.close()
    names = [row[6] for row in complete_contents(book, path)["entry"]]
    assert names[-1] == index_schema.COMPOSITION_CODES + 1


async def test_trimming_keeps_what_the_book_has(book: VariedBook, path: Path) -> None:
    expected = complete_contents(book, path)
    index = open_index(book, path)
    assert not index.trim()
    assert contents(index) == expected
    index.close()


async def test_the_index_does_not_write_to_the_book(book: VariedBook, path: Path) -> None:
    index = open_index(book, path)
    with pytest.raises(apsw.ReadOnlyError):
        index.rows("DELETE FROM book.event")
    index.close()


async def test_a_statement_is_interrupted(book: VariedBook, path: Path) -> None:
    index = SearchIndex.open(path, book_path=book.path, must_stop=lambda: True)
    with pytest.raises(apsw.InterruptError):
        index.rows(
            "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) SELECT max(n) FROM number"
        )
    index.close()
