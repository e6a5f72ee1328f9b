"""The event log, on a connection of its own.

Each read is one statement along the index of sequence numbers, and one more for the events of compositions. The cost of
a read depends on its limit only.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec

from stagebook.book.composition_log import LogEntry
from stagebook.book.event_log import LoggedEvent
from stagebook.book.tables import queries
from stagebook.book.tables.compositions.composition_reads import (
    READ_COMPOSITION_LOG,
    READ_COMPOSITION_LOG_AT,
    READ_COMPOSITION_LOG_BEFORE,
    READ_COMPOSITION_LOG_OF_ACCOUNT,
    READ_COMPOSITION_LOG_OF_ACCOUNTS,
)
from stagebook.book.tables.compositions.composition_rows import logged_composition_event
from stagebook.book.tables.rows import Row, recorded_event
from stagebook.book.tables.table_connection import UNDECODABLE, TableConnection

_LOGGED_EVENT = """
SELECT stage.account_id, stage.arn, session.session_id, participant.participant_id, participant.user_id,
    event.sequence, event.name, event.error_code, event.remote_participant_id, event.replica, event.cause, event.detail,
    event.extra
FROM {event}
    CROSS JOIN session ON session.session_key = event.session_key
    CROSS JOIN stage ON stage.stage_key = session.stage_key
    CROSS JOIN participant ON participant.session_key = event.session_key
        AND participant.number = event.participant_number
"""


def logged_events(events: str) -> str:
    """Return the beginning of a statement that reads events as `logged_event` takes them."""
    return _LOGGED_EVENT.format(event=events)


_LOG = logged_events("event INDEXED BY event_by_sequence") + "WHERE "
READ_LOG = _LOG + "event.sequence > :after ORDER BY event.sequence LIMIT :limit"
# `:accounts` has the ids of the accounts, with commas between them. They have one length.
READ_LOG_OF_ACCOUNTS = (
    _LOG
    + """event.sequence > :after AND replace(:accounts, stage.account_id, '') <> :accounts
ORDER BY event.sequence LIMIT :limit
"""
)
READ_LOG_OF_ACCOUNT = (
    _LOG
    + """event.sequence > :after AND event.sequence <= :until AND stage.account_id = :account
ORDER BY event.sequence LIMIT :limit
"""
)
READ_LOG_BEFORE = _LOG + "event.sequence < :before ORDER BY event.sequence DESC LIMIT :limit"
READ_LOG_AT = logged_events(
    "json_each(:sequences) AS number CROSS JOIN event INDEXED BY event_by_sequence ON event.sequence = number.value"
)

_sequence = attrgetter("sequence")

_IDENTITY_COLUMNS = 5
"""The columns of READ_LOG and READ_LOG_AT before those of the event."""


class TableEventLog:
    """Implements `EventLog`. Only one thread may use it."""

    def __init__(self, connection: TableConnection) -> None:
        self._connection = connection

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._connection.close()

    def last_sequence(self) -> int:
        """Return the sequence number of the newest durable event or session end, 0 in a new book."""
        return int(self._connection.rows(queries.LAST_SEQUENCE)[0][0])

    def read_after(self, sequence: int, *, limit: int) -> list[LoggedEvent]:
        """Return the next events after `sequence`, at most `limit`, oldest first."""
        return self._read(READ_LOG, {"after": sequence, "limit": limit})

    def read_entries_after(self, sequence: int, *, limit: int) -> list[LogEntry]:
        """Return the next events of participants and compositions after `sequence`, at most `limit`, oldest first."""
        parameters: dict[str, int | str] = {"after": sequence, "limit": limit}
        # One read transaction: what is committed between two reads would be in the second one only.
        with self._connection.snapshot():
            events: list[LogEntry] = [*self._read(READ_LOG, parameters)]
            of_compositions = self._read_of_compositions(READ_COMPOSITION_LOG, parameters)
        return sorted(events + of_compositions, key=_sequence)[:limit] if of_compositions else events

    def read_entries_of_accounts(self, account_ids: Iterable[str], sequence: int, *, limit: int) -> list[LogEntry]:
        """Return the next events of some accounts after `sequence`, at most `limit`, oldest first."""
        parameters: dict[str, int | str] = {"accounts": ",".join(account_ids), "after": sequence, "limit": limit}
        with self._connection.snapshot():
            events: list[LogEntry] = [*self._read(READ_LOG_OF_ACCOUNTS, parameters)]
            of_compositions = self._read_of_compositions(READ_COMPOSITION_LOG_OF_ACCOUNTS, parameters)
        return sorted(events + of_compositions, key=_sequence)[:limit]

    def read_entries_of_account(self, account_id: str, *, after: int, until: int, limit: int) -> list[LogEntry]:
        """Return the next events of an account above `after` and not above `until`, at most `limit`, oldest first."""
        parameters: dict[str, int | str] = {"account": account_id, "after": after, "until": until, "limit": limit}
        with self._connection.snapshot():
            events: list[LogEntry] = [*self._read(READ_LOG_OF_ACCOUNT, parameters)]
            of_compositions = self._read_of_compositions(READ_COMPOSITION_LOG_OF_ACCOUNT, parameters)
        return sorted(events + of_compositions, key=_sequence)[:limit]

    def read_entries_before(self, sequence: int, *, limit: int) -> list[LogEntry]:
        """Return the events of participants and compositions before `sequence`, at most `limit`, newest first."""
        parameters: dict[str, int | str] = {"before": sequence, "limit": limit}
        with self._connection.snapshot():
            events: list[LogEntry] = [*self._read(READ_LOG_BEFORE, parameters)]
            of_compositions = self._read_of_compositions(READ_COMPOSITION_LOG_BEFORE, parameters)
        return sorted(events + of_compositions, key=_sequence, reverse=True)[:limit] if of_compositions else events

    def read_entries_at(self, sequences: Sequence[int]) -> list[LogEntry]:
        """Return the events of participants and of compositions with these sequence numbers, in the same order.

        Those that do not exist are left out.
        """
        parameters: dict[str, int | str] = {"sequences": msgspec.json.encode(sequences).decode()}
        entries: list[LogEntry] = [*self._read(READ_LOG_AT, parameters)]
        if len(entries) == len(sequences):
            return entries
        entries += self._read_of_compositions(READ_COMPOSITION_LOG_AT, parameters)
        by_sequence = {each.sequence: each for each in entries}
        return [by_sequence[each] for each in sequences if each in by_sequence]

    def _read_of_compositions(self, statement: str, parameters: dict[str, int | str]) -> list[LogEntry]:
        try:
            return [logged_composition_event(row) for row in self._connection.rows(statement, parameters)]
        except UNDECODABLE as error:
            raise self._connection.damaged(error) from error

    def read_at(self, sequences: Sequence[int]) -> list[LoggedEvent]:
        """Return the events with these sequence numbers, in the same order, without those that do not exist."""
        return self._read(READ_LOG_AT, {"sequences": msgspec.json.encode(sequences).decode()})

    def _read(self, statement: str, parameters: dict[str, int | str]) -> list[LoggedEvent]:
        try:
            return [logged_event(row) for row in self._connection.rows(statement, parameters)]
        except UNDECODABLE as error:
            raise self._connection.damaged(error) from error


def logged_event(row: Row) -> LoggedEvent:
    """Return the event of a row of `queries.logged_events`."""
    account_id, stage_arn, session_id, participant_id, user_id = row[:_IDENTITY_COLUMNS]
    return LoggedEvent(
        account_id=account_id,
        stage_arn=stage_arn,
        session_id=session_id,
        user_id=user_id,
        recorded=recorded_event(participant_id, row[_IDENTITY_COLUMNS:]),
    )
