"""The events of a book as the delivery process reads them: those of one account after a position."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from stagebook.book.book_source import BookSource, DatabaseSource, open_tables
from stagebook.book.composition_log import LogEntry
from stagebook.book.event_log import LoggedEvent
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.book.tables.table_reader import TableReader
from stagebook.webhooks.event_envelope import ReplicaSource

CACHE_SIZE_KIB = 4_096


class SourceAwayError(Exception):
    """The database of the book cannot be reached at the moment."""


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events after a position, oldest first.

    No event of the account up to `read_to` is missing, and none will be made. `has_all` is true if there are no others
    at this time.
    """

    events: Sequence[LogEntry]
    read_to: int
    has_all: bool


class _AccountEvents(Protocol):
    def read_after(self, account_id: str, sequence: int, *, limit: int) -> EventPage:
        """Return the next events of an account, possibly with those of others."""

    def close(self) -> None:
        """Close the connection."""


class EventSource:
    """Reads events from the book of a running server, on connections of its own."""

    def __init__(self, source: BookSource, *, run_id: int | None = None) -> None:
        """`run_id` is the run of the node, for a book in a database.

        Raises BookRefusedError, and BookFailedError for a database that does not answer.
        """
        # Events are read once, from the end of the book: a large cache would only fill.
        self._log = TableEventLog(open_tables(source, cache_size_kib=CACHE_SIZE_KIB))
        self._reader = TableReader(open_tables(source, cache_size_kib=CACHE_SIZE_KIB), show_deleted_history=True)
        self._events: _AccountEvents = _FileEvents(self._log)
        if isinstance(source, DatabaseSource) and run_id is not None:
            self._events = _database_events(source, run_id=run_id)

    def close(self) -> None:
        """Close the connections."""
        self._events.close()
        self._log.close()
        self._reader.close_reading()

    def read_after(self, account_id: str, sequence: int, *, limit: int) -> EventPage:
        """Return the next events of an account after a position. Those of other accounts may be among them.

        Raises SourceAwayError, BookDamagedError and BookFailedError.
        """
        return self._events.read_after(account_id, sequence, limit=limit)

    def read_at(self, sequences: Sequence[int]) -> list[LogEntry]:
        """Return the events with these sequence numbers, in the same order, without those that are deleted."""
        return self._log.read_entries_at(sequences)

    def replica_source(self, logged: LoggedEvent) -> ReplicaSource | None:
        """Return where the participant of an event was replicated from; None if it is no replica."""
        if not logged.event.replica or logged.event.remote_participant_id is not None:
            return None
        record = self._reader.get_participant(logged.stage_arn, logged.session_id, logged.participant_id)
        if record is None or record.source_stage_arn is None or record.source_session_id is None:
            return None
        return ReplicaSource(stage_arn=record.source_stage_arn, session_id=record.source_session_id)


class _FileEvents:
    """The events of a SQLite book: they become visible in the order of their sequence numbers."""

    def __init__(self, log: TableEventLog) -> None:
        self._log = log

    def read_after(self, account_id: str, sequence: int, *, limit: int) -> EventPage:  # noqa: ARG002 - the port's
        """See `_AccountEvents`."""
        page = self._log.read_entries_after(sequence, limit=limit)
        return EventPage(events=page, read_to=page[-1].sequence if page else sequence, has_all=len(page) < limit)

    def close(self) -> None:
        """See `_AccountEvents`: the log is closed by its owner."""


class _DatabaseEvents:
    """The events of accounts in a database. Those of other accounts become visible in another order."""

    def __init__(self, source: DatabaseSource, *, run_id: int) -> None:
        from stagebook.book.postgres.account_log import AccountLog
        from stagebook.book.postgres.postgres_session import BookUnreachableError

        self._unreachable = BookUnreachableError
        self._log = AccountLog(source.url, run_id=run_id)

    def read_after(self, account_id: str, sequence: int, *, limit: int) -> EventPage:
        """See `_AccountEvents`."""
        try:
            found = self._log.read_after(account_id, sequence, limit=limit)
        except self._unreachable as error:
            raise SourceAwayError(str(error)) from error
        return EventPage(events=found.entries, read_to=found.read_to, has_all=found.has_all)

    def close(self) -> None:
        """See `_AccountEvents`."""
        self._log.close()


def _database_events(source: DatabaseSource, *, run_id: int) -> _AccountEvents:
    return _DatabaseEvents(source, run_id=run_id)


def book_position(source: BookSource, account_id: str) -> int:
    """Return the position after all events that an account has now: its next events have larger sequence numbers.

    Raises BookRefusedError, and BookFailedError.
    """
    if isinstance(source, Path):
        if not source.exists():
            return 0
        log = TableEventLog(open_tables(source))
        try:
            return log.last_sequence()
        finally:
            log.close()
    from stagebook.book.postgres.account_log import read_account_position

    return read_account_position(source.url, account_id)
