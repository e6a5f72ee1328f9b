"""Commits groups of transactions on PostgreSQL, and keeps the run of the node alive.

A group is one call of the SQL function `book_write` (`write_function.py`), which renews the heartbeat of the run. While
nothing is written, the committer renews it each HEARTBEAT_SECONDS.

After a lost connection nobody knows whether a group has arrived. The committer sends it again, with the same number,
until the database answers or for `patience_seconds`. The function writes the group of a number once.

Another node takes the accounts of a run whose heartbeat is older than the lease, by the clock of the database. It
closes what is open on them. So a group may only be acknowledged until the lease could have ended: until one lease after
the renewal was sent, by the clock of this machine, less MARGIN_SECONDS for the way of the answer. When it is later, the
writer has the group committed once more. It has no rows then: it is a renewal, which says whether the run still owns
its accounts.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from psycopg import Error

from stagebook.book.book_errors import BookBusyError, BookFailedError, BookUnavailableError
from stagebook.book.postgres.leases.node_run import HEARTBEAT_SECONDS, LEASE_SECONDS, renew_run
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import BookUnreachableError, LockTimeoutError
from stagebook.book.postgres.write_function import WRITE, group_parameters
from stagebook.book.tables.writer.group_committer import TransactionGroup

MARGIN_SECONDS: Final = 0.5
STOP_SECONDS: Final = 10.0
"""How long the last commits of a book that is being closed may take."""
RETRY_SECONDS: Final = 0.1
UNAVAILABLE: Final = "the database did not answer in time: the request may have been carried out; try again"

_REPEATABLE: Final = ("57014", "40P01", "40001")
"""SQLSTATEs of a statement that took too long, or was chosen to end a deadlock: it has changed nothing."""

_Result = TypeVar("_Result")


class PostgresCommitter:
    """Implements `GroupCommitter`. The run `run_id` must be registered, and must have written nothing yet."""

    idle_seconds = HEARTBEAT_SECONDS
    stop_seconds = STOP_SECONDS

    def __init__(
        self,
        connection: PostgresConnection,
        *,
        run_id: int,
        renewed_at: float,
        patience_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`renewed_at` is when the run was registered or last renewed, by `clock`, in seconds."""
        self.owned_before = renewed_at + LEASE_SECONDS - MARGIN_SECONDS
        """Before this time of the clock, no other node has taken an account of the run."""
        self._connection = connection
        self._run_id = run_id
        self._patience_seconds = patience_seconds
        self._clock = clock
        self.failures = 0
        """Statements that the database has not answered, or refused."""
        self._group = 0
        """The number of the newest group that was written."""
        self._interrupted = threading.Event()

    def commit(self, group: TransactionGroup) -> None:
        """Write a group, or, if it was written before, renew the run. As `wait`."""
        if group.rows:
            number = self._group + 1
            parameters = (self._run_id, number, group.last_sequence, *group_parameters(group.rows))
            self._repeat(lambda: self._connection.execute(WRITE, parameters))
            self._group = number
            group.rows = []
        else:
            self.wait()
        group.acknowledged_before = self.owned_before

    def run_idle(self, run: Callable[[PostgresConnection], _Result], *, needs_open_events: bool) -> _Result:
        """Call `run` in a transaction that holds the run, so that no other node takes an account meanwhile.

        `book_write` notes open events with their group, so none is missing. Raises BookBusyError if the database cannot
        be reached or has the rows locked.
        """
        del needs_open_events
        started = self._clock()
        try:
            with self._connection.transaction():
                renew_run(self._connection, self._run_id)
                result = run(self._connection)
        except BookFailedError as error:
            if _may_be_repeated(error):
                raise BookBusyError(str(error)) from error
            raise
        self._note_renewal(started)
        return result

    def wait(self) -> None:
        """Renew the run. Raises RunFencedError, and BookUnavailableError after the patience."""
        self._repeat(lambda: renew_run(self._connection, self._run_id))

    def interrupt(self) -> None:
        """Do not repeat any more. A statement ends by its own limit (`postgres_session.py`)."""
        self._interrupted.set()

    def finish(self, *, is_failed: bool) -> None:
        """Disconnect. Who closes the book ends the run."""
        del is_failed
        self._connection.close()

    def _repeat(self, statement: Callable[[], object]) -> None:
        """Call a statement that renews the run until it has answered, or the patience is over."""
        deadline = self._clock() + self._patience_seconds
        while True:
            started = self._clock()
            try:
                statement()
            except BookFailedError as error:
                self.failures += 1
                if not _may_be_repeated(error):
                    raise
                if self._interrupted.is_set() or self._clock() >= deadline:
                    raise BookUnavailableError(UNAVAILABLE) from error
                self._interrupted.wait(RETRY_SECONDS)
            else:
                self._note_renewal(started)
                return

    def _note_renewal(self, started: float) -> None:
        self.owned_before = started + LEASE_SECONDS - MARGIN_SECONDS


def _may_be_repeated(error: BookFailedError) -> bool:
    """Return whether the same statement can succeed later. It may have been carried out, if the connection was lost."""
    cause = error.__cause__
    if isinstance(error, BookUnreachableError | LockTimeoutError):
        return True
    return isinstance(cause, Error) and cause.sqlstate in _REPEATABLE
