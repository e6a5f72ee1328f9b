"""A run of retention over a SQLite book. Reads are done at once, on the reading connection."""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import apsw

from stagebook.book.book_values import RetentionStep
from stagebook.book.retention_policy import RetentionPolicy
from stagebook.book.sqlite.retention.file_space import give_back_pages, move_log, truncate_log
from stagebook.book.sqlite.retention.sqlite_deletions import SqliteDeletions
from stagebook.book.tables.retention.deletion_steps import DeletingConnection
from stagebook.book.tables.retention.retention_run import RetentionRun
from stagebook.book.tables.row_keys import RowKeys
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import Cell, TableConnection
from stagebook.book.tables.writer.group_writer import GroupWriter

STEPS_PER_CHECKPOINT = 8
"""Number of steps between two checkpoints. The log then has some hundred pages, and a checkpoint takes a few
milliseconds; the automatic checkpoint of SQLite would write thousands of pages."""
PAGES_PER_STEP = 64
"""Maximum number of pages that one step moves into free pages before the end of the file is cut off."""

_Result = TypeVar("_Result")


class SqliteRetention(RetentionRun):
    """Keeps the log short during the run, and cuts the free space off the file at its end."""

    def __init__(
        self,
        reading: TableConnection,
        writer: GroupWriter[apsw.Connection],
        *,
        keys: RowKeys,
        policy: RetentionPolicy,
        now_ms: int,
    ) -> None:
        super().__init__(keys=keys, policy=policy, now_ms=now_ms)
        self._reading = reading
        self._writer = writer
        self._steps = 0

    async def _read(self, statement: str, **parameters: Cell) -> list[Row]:
        return self._reading.rows(statement, parameters)

    async def _delete(self, step: Callable[[DeletingConnection], _Result]) -> _Result:
        return await self._when_idle(lambda connection: step(SqliteDeletions(connection)))

    async def _after_step(self) -> AsyncIterator[RetentionStep]:
        self._steps += 1
        if self._steps % STEPS_PER_CHECKPOINT == 0:
            yield await self._when_idle(move_log)

    async def _finish(self) -> AsyncIterator[RetentionStep]:
        has_more = True
        while has_more:
            step, has_more = await self._when_idle(lambda connection: give_back_pages(connection, PAGES_PER_STEP))
            yield step
            async for further in self._after_step():
                yield further
        yield await self._when_idle(truncate_log)

    async def _when_idle(self, run: Callable[[apsw.Connection], _Result]) -> _Result:
        return await self._writer.when_idle(run, needs_open_events=True)
