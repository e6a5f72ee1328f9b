"""What a server asks of its book, besides what the stage manager does: counts for the metrics, and its commits."""

from collections.abc import Callable
from typing import Any, Protocol

from stagebook.book.book_errors import BookFailedError
from stagebook.book.event_counts import EventCounts
from stagebook.book.store import Book
from stagebook.latency_histogram import LatencyHistogram


class CommitObserver(Protocol):
    """Is notified of commits, for traces. Called on the event loop's thread."""

    def submitter(self) -> Any:  # noqa: ANN401 - the observer's own value
        """Return a value for the task that is submitting a transaction; `committed` gets it."""

    def committed(self, submitters: list[Any], *, transactions: int, seconds: float) -> None:
        """A group of `transactions` is durable, `seconds` after the first of them was submitted.

        `submitters` are those of a bounded number of its first transactions.
        """


class MeasuredBook(Protocol):
    """The counts of a book that is open for writing."""

    @property
    def backlog(self) -> int:
        """The number of transactions that were submitted and are not durable yet."""

    @property
    def event_counts(self) -> EventCounts:
        """The events that were submitted since the book was opened."""

    @property
    def append_latency(self) -> LatencyHistogram:
        """The time from the submission of transactions to their durability."""

    @property
    def stage_count(self) -> int:
        """The number of stages of all accounts, without deleted ones; those that are not durable yet count."""


class ServerBook(Book, MeasuredBook, Protocol):
    """A book that is open for writing, with what the server that has opened it measures and watches."""

    @property
    def can_shrink(self) -> bool:
        """Whether free space is given back when rows are deleted."""

    async def make_shrinkable(self) -> bool:
        """Change the book so that it can shrink; return whether that was possible. Transactions wait meanwhile."""

    def observe_commits(self, observer: CommitObserver) -> None:
        """Tell an observer of each transaction and each commit from now on."""

    def on_durable(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop each time a group of transactions has become durable. It must be quick."""

    async def wait_ended(self) -> BookFailedError | None:
        """Wait until the book accepts no more transactions. Return the failure that ended it, or None after `close`."""
