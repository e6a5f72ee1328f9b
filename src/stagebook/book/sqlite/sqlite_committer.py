"""Commits groups of transactions on SQLite: each in one transaction, then the check that the files are in place."""

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import apsw

from stagebook.book.book_errors import BookBusyError
from stagebook.book.sqlite.book_connection import BUSY_TIMEOUT_MS
from stagebook.book.sqlite.book_files import BookFiles
from stagebook.book.sqlite.open_events import Statement, UnnotedEvents
from stagebook.book.sqlite.write_statements import WRITE_STATEMENTS
from stagebook.book.tables.change_rows import EVENTS, rows_by_kind
from stagebook.book.tables.writer.group_committer import TransactionGroup

_Result = TypeVar("_Result")


class SqliteCommitter:
    """Implements `GroupCommitter`. `last_sequence` is the newest sequence number that the file has."""

    idle_seconds = None
    stop_seconds = None

    def __init__(self, connection: apsw.Connection, *, last_sequence: int = 0) -> None:
        self._connection = connection
        self._files = BookFiles(connection)
        self._last_sequence = last_sequence
        self._unnoted = UnnotedEvents()

    def commit(self, group: TransactionGroup) -> None:
        """Write a group in one transaction."""
        by_kind = rows_by_kind(group.rows)
        statements: list[Statement] = []
        # The order of the tables does not matter: there are no foreign keys, and keys were assigned before.
        for kind, encoded in by_kind.items():
            rows = ("[" + ",".join(encoded) + "]",)
            statements += [(statement, rows) for statement in WRITE_STATEMENTS[kind]]
        if EVENTS in by_kind:
            self._unnoted.add(len(by_kind[EVENTS]), group.event_sequence)
        is_noting = self._unnoted.is_full
        if is_noting:
            statements += self._unnoted.statements()
        # The number of an event is read from its row: to store it once more would write another page.
        if group.last_sequence > max(self._last_sequence, group.event_sequence):
            statements.append(("UPDATE sequencer SET last_sequence = ?", (group.last_sequence,)))
        self._write(statements)
        self._last_sequence = group.last_sequence
        if is_noting:
            self._unnoted.clear()
        # After the commit and before it is acknowledged: what is written to a deleted file is lost.
        self._files.require_in_place()

    def run_idle(self, run: Callable[[apsw.Connection], _Result], *, needs_open_events: bool) -> _Result:
        """Call `run`; see `GroupCommitter.run_idle`. BookBusyError: another process locks the book, or the disk is
        full."""
        # It does not wait for a lock: queued transactions would wait with it.
        self._connection.set_busy_timeout(0)
        try:
            # Otherwise an end that is noted after the deletion of its start would get a row of its own.
            if needs_open_events:
                self._note_open_events()
            result = run(self._connection)
        except (apsw.BusyError, apsw.FullError) as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            raise BookBusyError(str(error)) from error
        self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        return result

    def wait(self) -> None:
        """Do nothing: a file does not have to be kept."""

    def interrupt(self) -> None:
        """Do nothing: a file answers."""

    def finish(self, *, is_failed: bool) -> None:
        """Note what is open, and empty the write-ahead log. The next open does what fails here, so nothing is lost."""
        with contextlib.suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            # After a failure, events are collected that are not stored.
            if not is_failed:
                self._note_open_events()
        with contextlib.suppress(apsw.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _note_open_events(self) -> None:
        """Note what is collected, in a transaction of its own."""
        if not self._unnoted.is_empty:
            self._write(self._unnoted.statements())
            self._unnoted.clear()

    def _write(self, statements: Sequence[Statement]) -> None:
        """Run statements as one transaction."""
        execute = self._connection.execute
        # A single statement is a transaction by itself. In a longer one, SQLite copies each page before a statement
        # changes it, to be able to undo this statement alone.
        is_explicit = len(statements) > 1
        if is_explicit:
            execute("BEGIN IMMEDIATE")
        for statement, bindings in statements:
            execute(statement, bindings)
        if is_explicit:
            execute("COMMIT")
