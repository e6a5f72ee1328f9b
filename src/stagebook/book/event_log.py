"""The event log: all events of a book in one order, the order of their sequence numbers.

An event becomes visible in this order: when a reader sees an event, it also sees every event with a smaller sequence
number. So a reader that remembers the last sequence number it has read misses nothing and reads nothing twice.
"""

from typing import Protocol

import msgspec

from stagebook.book.book_values import RecordedEvent
from stagebook.book.event_id import event_id
from stagebook.stage.events import Event


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event with everything that identifies its participant."""

    account_id: str
    stage_arn: str
    session_id: str
    user_id: str
    recorded: RecordedEvent

    @property
    def event_id(self) -> str:
        """The id of the event (`event_id.py`)."""
        return event_id(self.sequence, session_id=self.session_id, participant_id=self.participant_id)

    @property
    def sequence(self) -> int:
        """The sequence number, which is the position in the log."""
        return self.recorded.sequence

    @property
    def participant_id(self) -> str:
        """The participant whose event it is."""
        return self.recorded.participant_id

    @property
    def time_ms(self) -> int:
        """The time of the event, in milliseconds since the epoch."""
        return self.recorded.time_ms

    @property
    def event(self) -> Event:
        """The event itself."""
        return self.recorded.event


class EventLog(Protocol):
    """Reads the events of all accounts, stages and sessions, also of deleted stages.

    Reads raise BookDamagedError if they meet a damaged part of the book, and BookFailedError if it cannot be read.
    """

    def last_sequence(self) -> int:
        """Return the sequence number of the newest durable event or session end, 0 in a new book."""

    def read_after(self, sequence: int, *, limit: int) -> list[LoggedEvent]:
        """Return the next events after `sequence`, at most `limit`, oldest first."""
