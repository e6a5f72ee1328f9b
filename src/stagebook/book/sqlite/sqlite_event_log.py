"""The event log of a SQLite book, on a read-only connection of its own.

Each read is one statement along the index of sequence numbers. The cost of a read depends on its limit only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import apsw
import msgspec

from stagebook.book.event_log import LoggedEvent
from stagebook.book.sqlite import queries
from stagebook.book.sqlite.book_connection import UNDECODABLE, UNREADABLE, open_for_reading, read_failure
from stagebook.book.sqlite.rows import Row, recorded_event

_IDENTITY_COLUMNS = 5
"""The columns of READ_LOG and READ_LOG_AT before those of the event."""


class SqliteEventLog:
    """Implements `EventLog`. Only one thread may use it."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the book at `path`, also while a server is writing it. Raises BookRefusedError."""
        return cls(open_for_reading(path))

    def __init__(self, connection: apsw.Connection) -> None:
        """Read on a connection that `open_for_reading` has made."""
        self._connection = connection

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._connection.close()

    def last_sequence(self) -> int:
        """Return the sequence number of the newest durable event or session end, 0 in a new book."""
        try:
            rows: list[Row] = self._connection.execute(queries.LAST_SEQUENCE).fetchall()
            return int(rows[0][0])
        except UNREADABLE as error:
            raise read_failure(self._connection, error) from error

    def read_after(self, sequence: int, *, limit: int) -> list[LoggedEvent]:
        """Return the next events after `sequence`, at most `limit`, oldest first."""
        return self._read(queries.READ_LOG, {"after": sequence, "limit": limit})

    def read_before(self, sequence: int, *, limit: int) -> list[LoggedEvent]:
        """Return the events before `sequence`, at most `limit`, newest first."""
        return self._read(queries.READ_LOG_BEFORE, {"before": sequence, "limit": limit})

    def read_at(self, sequences: Sequence[int]) -> list[LoggedEvent]:
        """Return the events with these sequence numbers, in the same order, without those that do not exist."""
        return self._read(queries.READ_LOG_AT, {"sequences": msgspec.json.encode(sequences).decode()})

    def _read(self, statement: str, parameters: dict[str, int | str]) -> list[LoggedEvent]:
        try:
            rows = self._connection.execute(statement, parameters).fetchall()
            return [_logged_event(row) for row in rows]
        except (*UNREADABLE, *UNDECODABLE) as error:
            raise read_failure(self._connection, error) from error


def _logged_event(row: Row) -> LoggedEvent:
    account_id, stage_arn, session_id, participant_id, user_id = row[:_IDENTITY_COLUMNS]
    return LoggedEvent(
        account_id=account_id,
        stage_arn=stage_arn,
        session_id=session_id,
        user_id=user_id,
        recorded=recorded_event(participant_id, row[_IDENTITY_COLUMNS:]),
    )
