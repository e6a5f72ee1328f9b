"""What the writer thread asks of a store: to commit a group of transactions, and to work between two of them."""

import asyncio
import math
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from stagebook.book.store import Durable
from stagebook.book.tables.change_rows import TransactionRows

Connection = TypeVar("Connection")
Connection_co = TypeVar("Connection_co", covariant=True)
_Result = TypeVar("_Result")


class TransactionGroup:
    """Transactions that are committed together.

    `last_sequence` is the newest sequence number that they have, `event_sequence` that of their newest event.
    `acknowledged_before` is the monotonic time, in seconds, before which the group may be acknowledged; after it, the
    committer must commit the group again. The committer sets it and decides what the second commit does.
    """

    __slots__ = (
        "acknowledged_before",
        "durable",
        "event_sequence",
        "last_sequence",
        "opened_at",
        "rows",
        "submitters",
        "transactions",
    )

    def __init__(self, durable: Durable, *, opened_at: float) -> None:
        """`opened_at` is when the first transaction was submitted, in monotonic seconds."""
        self.durable = durable
        self.opened_at = opened_at
        self.acknowledged_before = math.inf
        self.submitters: list[Any] = []
        self.rows: TransactionRows = []
        self.transactions = 0
        self.last_sequence = self.event_sequence = 0

    def add(self, rows: TransactionRows, last_sequence: int, event_sequence: int) -> None:
        """Add a transaction. `event_sequence` is 0 if it has no event."""
        self.rows += rows
        self.transactions += 1
        self.last_sequence = last_sequence
        self.event_sequence = event_sequence or self.event_sequence


class IdleWork:
    """A function of the writing connection that waits for a moment without queued transactions, and its result."""

    __slots__ = ("done", "needs_open_events", "run")

    def __init__(self, run: Callable[[Any], Any], done: asyncio.Future[Any], *, needs_open_events: bool) -> None:
        self.run = run
        self.done = done
        self.needs_open_events = needs_open_events


class GroupCommitter(Protocol[Connection_co]):
    """Writes to one store. Only the writer thread calls it, except for `interrupt`.

    What `commit`, `run_idle` and `wait` raise fails the book, but for the BookBusyError of `run_idle`.
    """

    @property
    def idle_seconds(self) -> float | None:
        """After this time without a queued transaction `wait` is called, again and again; None for never."""

    @property
    def stop_seconds(self) -> float | None:
        """How long the last commits may take before `interrupt` is called; None for any time."""

    def commit(self, group: TransactionGroup) -> None:
        """Make a group durable. The writer acknowledges it afterwards."""

    def run_idle(self, run: Callable[[Connection_co], _Result], *, needs_open_events: bool) -> _Result:
        """Call `run` with the writing connection, outside of a transaction; return its result.

        `needs_open_events`: all events so far must be noted as open or ended before. Raises BookBusyError if the work
        could not be done, and has changed nothing; the book goes on then.
        """

    def wait(self) -> None:
        """Do what a store needs while nothing is written."""

    def interrupt(self) -> None:
        """Let a call that waits for the store fail soon, also later ones. Called on the event loop's thread."""

    def finish(self, *, is_failed: bool) -> None:
        """Finish writing, after the last commit or, with `is_failed`, after a failure. Must not raise."""
