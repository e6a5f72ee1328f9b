"""A writer of a SQLite book, and a second connection that can block it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw

from stagebook.book.sqlite.book_connection import open_for_reading, open_for_writing
from stagebook.book.sqlite.sqlite_committer import SqliteCommitter
from stagebook.book.tables.change_rows import EVENTS, STAGES
from stagebook.book.tables.writer.group_writer import GroupWriter
from tests.book.sample import SEAL


class WriterFixture:
    """A writer on a new book, counters of its commits, and a second connection that can block it."""

    def __init__(self, path: Path) -> None:
        self.connection = open_for_writing(path, seal=SEAL)
        self.other = apsw.Connection(str(path))
        self.reader = open_for_reading(path)
        self.commits = 0
        self.durable = 0
        self.connection.set_commit_hook(self._count_commit)
        self.clock_seconds = 1_000.0
        self.writer = GroupWriter(
            SqliteCommitter(self.connection),
            loop=asyncio.get_running_loop(),
            on_durable=self._count_durable,
            clock=lambda: self.clock_seconds,
        )
        self._last_key = 0

    def _count_commit(self) -> bool:
        self.commits += 1
        return False

    def _count_durable(self, count: int) -> None:
        self.durable += count

    def put(self, *, name: str = "null") -> asyncio.Future[None]:
        """Queue a transaction that puts one stage. `name` is the JSON of the stage's name."""
        self._last_key += 1
        row = f'[{self._last_key},"arn{self._last_key}","account",{name},0,"{{}}","{{}}"]'
        return self.writer.put([(STAGES, row)], self._last_key)

    def put_event(self, *, sequence: int) -> asyncio.Future[None]:
        """Queue a transaction that appends one JOINED, of a participant for each number."""
        row = f"[1,{sequence},{sequence},0,null,null,0,null,null,null]"
        return self.writer.put([(EVENTS, row)], sequence, sequence)

    def noted(self) -> tuple[int, int]:
        """Return how many open events are noted, and the newest sequence number that is."""
        statement = "SELECT (SELECT count(*) FROM open_event), noted_sequence FROM sequencer"
        rows: list[Any] = self.reader.execute(statement).fetchall()
        return rows[0][0], rows[0][1]

    def wait_until_taken(self) -> None:
        """Wait until the writer thread has taken the group that is being filled."""
        while self.writer._filling is not None:
            time.sleep(0.001)

    def count(self) -> int:
        """Return the number of stages that another connection sees."""
        rows: list[Any] = self.reader.execute("SELECT count(*) FROM stage").fetchall()
        counted: int = rows[0][0]
        return counted


@asynccontextmanager
async def running_writer(path: Path) -> AsyncIterator[WriterFixture]:
    """Run a writer on a new book at `path`."""
    fixture = WriterFixture(path)
    yield fixture
    fixture.other.close()
    await fixture.writer.stop()
    fixture.reader.close()
    fixture.connection.close()
