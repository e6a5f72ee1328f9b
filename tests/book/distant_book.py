"""A SQLite book as if it were a round trip away: decisions read memory, and each read takes some turns of the loop."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from stagebook.book.changes import Change
from stagebook.book.memory.memory_book import MemoryBook
from stagebook.book.sqlite.open_readers import open_connection
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Submission
from stagebook.book.tables.account_keys import read_account_keys
from stagebook.book.tables.loaded_row_keys import LoadedRowKeys
from stagebook.book.tables.row_keys import RowKeys
from stagebook.book.tables.stored_row_keys import StoredRowKeys
from stagebook.book.tables.table_connection import TableConnection
from stagebook.book.tables.table_reader import TableReader
from tests.book.sample import SEAL

Result = TypeVar("Result")

ACCOUNTS = """
SELECT account_id FROM stage UNION SELECT account_id FROM resource UNION SELECT account_id FROM composition
UNION SELECT account_id FROM connection_token_revocation ORDER BY 1
"""


_stored_keys = StoredRowKeys.of_one_writer


def loaded_keys(connection: TableConnection) -> RowKeys:
    """Return keys of no account, for a book that is being opened. New keys follow the largest ones."""
    stored = _stored_keys(connection)
    return LoadedRowKeys(
        stage_keys=stored._new_stage_keys,
        session_keys=stored._new_session_keys,
        composition_keys=stored._new_composition_keys,
    )


@contextmanager
def with_loaded_keys() -> Iterator[None]:
    """Let the books that are opened within check their transactions without reading."""
    with patch.object(StoredRowKeys, "of_one_writer", loaded_keys):
        yield


class DistantReads:
    """Runs reads on a connection of its own. `turns` says how many turns of the loop one way takes."""

    def __init__(self, path: Path, *, turns: Callable[[], int]) -> None:
        self.reader = TableReader(open_connection(path), show_deleted_history=True, seal=SEAL)
        self.count = 0
        self._turns = turns

    async def run(self, _account_id: str, read: Callable[[TableReader], Result], /) -> Result:
        await self._travel()
        self.count += 1
        result = read(self.reader)
        await self._travel()
        return result

    async def _travel(self) -> None:
        for _ in range(self._turns()):
            await asyncio.sleep(0)


class DistantBook:
    """The memory in front of a book that was opened `with_loaded_keys`.

    Tests may read `book` itself. A statement during `submit` is an error.
    """

    def __init__(self, book: SqliteBook, path: Path, *, turns: Callable[[], int] = lambda: 1) -> None:
        assert isinstance(book._keys, LoadedRowKeys)
        self._keys = book._keys
        self.reads = DistantReads(path, turns=turns)
        self._book = book
        self._submit = book.submit
        self.memory = MemoryBook(self, keys=self._keys, reads=self.reads)
        # Tests may submit changes to the book itself, and spy on its submissions.
        book.submit = self._submit_and_note  # type: ignore[method-assign]

    @property
    def backlog(self) -> int:
        return self._book.backlog

    @property
    def submitted_time_ms(self) -> int:
        return self._book.submitted_time_ms

    def submit(self, changes: Sequence[Change]) -> Submission:
        return self._book.submit(changes)

    def _submit_and_note(self, changes: Sequence[Change]) -> Submission:
        with patch.object(self._book._reading, "rows", _refuse):
            submission = self._submit(changes)
        self.memory.note(changes, submission)
        return submission

    async def note_open_events(self) -> None:
        await self._book.note_open_events()

    async def load_all(self, *, now_ms: int) -> list[str]:
        """Load each account that has anything; return their ids."""
        accounts = [account_id for (account_id,) in self.reads.reader._connection.rows(ACCOUNTS)]
        for account_id in accounts:
            self._keys.add_account(read_account_keys(self.reads.reader._connection, account_id, now_ms=now_ms))
            await self.memory.load_account(account_id)
        return accounts

    def close(self) -> None:
        self.reads.reader.close_reading()


def _refuse(statement: str, _parameters: Any = ()) -> list[Any]:  # noqa: ANN401 - of any statement
    raise AssertionError(f"the book was read during a submission: {statement}")
