"""The statements of deletion on SQLite."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw
import msgspec

from stagebook.book.tables.queries import NOTE_LAST_SEQUENCE

HIDE_SESSIONS = (
    "INSERT INTO expired_session (session_key) SELECT value FROM json_each(?)",
    "DELETE FROM session WHERE session_key IN (SELECT value FROM json_each(?))",
)
HIDE_COMPOSITIONS = (
    "INSERT INTO expired_composition (composition_key) SELECT value FROM json_each(?)",
    "DELETE FROM composition WHERE composition_key IN (SELECT value FROM json_each(?))",
)
NOTE_SESSION_KEY = "UPDATE sequencer SET last_session_key = max(last_session_key, ?)"
NOTE_STAGE_KEY = "UPDATE sequencer SET last_stage_key = max(last_stage_key, ?)"


class SqliteDeletions:
    """Implements `DeletingConnection` on the writing connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction. After an error it is still open, and the writer rolls it back or fails."""
        self.connection.execute("BEGIN IMMEDIATE")
        yield
        self.connection.execute("COMMIT")

    def delete(self, statement: str, *parameters: str | int) -> int:
        """Execute a statement that deletes; return the number of rows."""
        self.connection.execute(statement, parameters)
        return self.connection.changes()

    def first_key(self, statement: str) -> int | None:
        """Return the key that a statement selects, None without a row."""
        rows: list[Any] = self.connection.execute(statement).fetchall()
        return rows[0][0] if rows else None

    def hide_sessions(self, keys: Sequence[int]) -> None:
        """Move the keys from `session` to `expired_session`."""
        self._execute_each(HIDE_SESSIONS, _array(keys))
        self.connection.execute(NOTE_SESSION_KEY, (max(keys),))
        self.connection.execute(NOTE_LAST_SEQUENCE)

    def hide_compositions(self, keys: Sequence[int]) -> None:
        """Move the keys from `composition` to `expired_composition`."""
        self._execute_each(HIDE_COMPOSITIONS, _array(keys))
        self.connection.execute(NOTE_LAST_SEQUENCE)

    def note_stage_key(self, key: int) -> None:
        """Store a key as a lower bound of new keys."""
        self.connection.execute(NOTE_STAGE_KEY, (key,))

    def _execute_each(self, statements: Sequence[str], parameter: str) -> None:
        for statement in statements:
            self.connection.execute(statement, (parameter,))


def _array(keys: Sequence[int]) -> str:
    return msgspec.json.encode(keys).decode()
