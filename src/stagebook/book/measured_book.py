"""What a book measures about itself, for the metrics."""

from typing import Protocol

from stagebook.book.event_counts import EventCounts
from stagebook.latency_histogram import LatencyHistogram


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
