"""The event log of one account of a book in PostgreSQL, for a reader that must not miss an event.

The events of an account become visible in the order of their sequence numbers: one run at a time writes them, in the
order of its numbers, and a run that takes the account begins above the last number of the former one. The numbers of
different accounts say nothing about which event became visible first. So the position of a reader of one account is:

* the number of the account's newest event that it has read,
* or the last number that the account's owner has written, if it has read everything below,
* or the last number that was examined, if it is not above that of the owner.

A read examines at most EXAMINED_EVENTS events of all accounts, whatever other accounts have written meanwhile.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from stagebook.book.composition_log import LogEntry
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_readers import open_connection
from stagebook.book.tables.table_event_log import TableEventLog

EXAMINED_EVENTS: Final = 20_000
PATIENCE_SECONDS: Final = 5.0
"""How long `read_account_position` waits for a database that cannot be reached."""

_POSITION: Final = """
SELECT greatest(account_lease.last_sequence, node_run.last_sequence)
FROM account_lease LEFT JOIN node_run USING (run_id) WHERE account_id = %s
"""
_OWN_POSITION: Final = f"{_POSITION} AND run_id = %s"
_WINDOW: Final = "SELECT sequence FROM event WHERE sequence > %s ORDER BY sequence OFFSET %s LIMIT 1"
_NO_END: Final = (1 << 63) - 1


class AccountPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events of an account after a position, oldest first.

    No event of the account up to `read_to` is missing, and none will be made. `has_all` is true if the account has no
    others at this time.
    """

    entries: Sequence[LogEntry]
    read_to: int
    has_all: bool


class AccountLog:
    """Reads the events of the accounts that run `run_id` owns. Only one thread may use it."""

    def __init__(self, url: str, *, run_id: int, examined_events: int = EXAMINED_EVENTS) -> None:
        """Connect. Raises BookRefusedError and BookUnreachableError."""
        self._connection: PostgresConnection = open_connection(url, patience_seconds=0)
        self._log = TableEventLog(self._connection)
        self._run_id = run_id
        self._examined_events = examined_events

    def read_after(self, account_id: str, sequence: int, *, limit: int) -> AccountPage:
        """Return the next events of an account. Of an account that the run does not own, there are none.

        Raises BookUnreachableError at once while the database cannot be reached, BookDamagedError and BookFailedError.
        """
        # Each read looks further back than the one before: what the owner has written before the first is visible.
        owned = self._connection.execute(_OWN_POSITION, (account_id, self._run_id))
        if not owned:
            return AccountPage(entries=(), read_to=sequence, has_all=True)
        last_sequence = int(owned[0][0])
        window = self._connection.execute(_WINDOW, (sequence, self._examined_events))
        end = int(window[0][0]) if window else _NO_END
        entries = self._log.read_entries_of_account(account_id, after=sequence, until=end, limit=limit)
        if len(entries) == limit:
            return AccountPage(entries=entries, read_to=entries[-1].sequence, has_all=False)
        examined = min(end, last_sequence)
        return AccountPage(
            entries=entries,
            read_to=max(sequence, examined, entries[-1].sequence if entries else 0),
            has_all=end >= last_sequence,
        )

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._connection.close()


def read_account_position(url: str, account_id: str) -> int:
    """Return the position after all events that an account has: its next events have larger sequence numbers.

    It is 0 for an account that nobody has owned. Raises BookRefusedError, BookUnreachableError and BookFailedError.
    """
    connection = open_connection(url, patience_seconds=PATIENCE_SECONDS)
    try:
        rows = connection.execute(_POSITION, (account_id,))
        return int(rows[0][0]) if rows else 0
    finally:
        connection.close()
