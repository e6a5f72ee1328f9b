"""A run of retention over a book in PostgreSQL: each node deletes the old rows of the accounts that it owns.

A step is a transaction that holds the run of the node (`PostgresCommitter.run_idle`), so a node that has lost its
accounts deletes nothing. Rows of a session that a former owner has hidden already are deleted by any node.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Final, TypeVar

from stagebook.book.postgres.leases.account_acquisition import AccountAcquisition
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.retention_policy import RetentionPolicy
from stagebook.book.tables.retention.deletion_steps import DeletingConnection
from stagebook.book.tables.retention.retention_run import RetentionRun
from stagebook.book.tables.row_keys import RowKeys
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import Cell
from stagebook.book.tables.writer.group_writer import GroupWriter

_HIDE_SESSIONS: Final = """
WITH hidden AS (DELETE FROM session WHERE session_key = ANY(%s) RETURNING session_key)
INSERT INTO expired_session (session_key) SELECT session_key FROM hidden
"""
_HIDE_COMPOSITIONS: Final = """
WITH hidden AS (DELETE FROM composition WHERE composition_key = ANY(%s) RETURNING composition_key)
INSERT INTO expired_composition (composition_key) SELECT composition_key FROM hidden
"""

_Result = TypeVar("_Result")


class PostgresDeletions:
    """Implements `DeletingConnection` in the transaction that the committer has begun."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do nothing: the committer ends the transaction."""
        yield

    def delete(self, statement: str, *parameters: str | int) -> int:
        """Execute a statement that deletes; return the number of rows."""
        named = {f"parameter_{number}": value for number, value in enumerate(parameters, start=1)}
        ((count,),) = self._connection.execute(_counted(statement), named)
        return int(count)

    def first_key(self, statement: str) -> int | None:
        """Return the key that a statement selects, None without a row."""
        rows = self._connection.execute(statement)
        return rows[0][0] if rows else None

    def hide_sessions(self, keys: Sequence[int]) -> None:
        """Move the keys from `session` to `expired_session`.

        The database numbers the blocks of keys, and the row of each run has the newest sequence number that it has
        given: so none is used again.
        """
        self._connection.execute(_HIDE_SESSIONS, (list(keys),))

    def hide_compositions(self, keys: Sequence[int]) -> None:
        """Move the keys from `composition` to `expired_composition`."""
        self._connection.execute(_HIDE_COMPOSITIONS, (list(keys),))

    def note_stage_key(self, key: int) -> None:
        """Do nothing, as for sessions."""


class PostgresRetention(RetentionRun):
    """`owned` are the accounts of this node. Reads are done in a thread."""

    def __init__(
        self,
        acquisition: AccountAcquisition,
        writer: GroupWriter[PostgresConnection],
        *,
        owned: Collection[str],
        keys: RowKeys,
        policy: RetentionPolicy,
        now_ms: int,
    ) -> None:
        super().__init__(keys=keys, policy=policy, now_ms=now_ms)
        self._acquisition = acquisition
        self._writer = writer
        self._owned = owned

    def _includes(self, account_id: str) -> bool:
        return account_id in self._owned

    async def _read(self, statement: str, **parameters: Cell) -> list[Row]:
        return await asyncio.to_thread(self._acquisition.rows, statement, parameters)

    async def _delete(self, step: Callable[[DeletingConnection], _Result]) -> _Result:
        return await self._writer.when_idle(lambda connection: step(PostgresDeletions(connection)))


@cache
def _counted(statement: str) -> str:
    """Return a statement that deletes in PostgreSQL's form, as one that returns the number of rows."""
    native = re.sub(r"\?(\d)", r"%(parameter_\1)s", statement)
    return f"WITH deleted AS ({native} RETURNING 1) SELECT count(*) FROM deleted"  # noqa: S608 - of constants
