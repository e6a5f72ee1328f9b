"""An event of a composition in the event log.

It has no session and no participant. Its sequence number is from the same sequence as those of participants' events, so
both are in one order (`EntryLog`).
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from stagebook.book.changes import sequence_time_ms
from stagebook.book.event_id import event_id
from stagebook.book.event_log import LoggedEvent
from stagebook.stage.composition.composition_events import CompositionEvent


class LoggedCompositionEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event with everything that identifies its composition."""

    account_id: str
    stage_arn: str
    composition_arn: str
    sequence: int
    event: CompositionEvent

    @property
    def event_id(self) -> str:
        """The id of the event (`event_id.py`), with the composition's ARN in place of a participant's id."""
        return event_id(self.sequence, session_id="", participant_id=self.composition_arn)

    @property
    def time_ms(self) -> int:
        """The time of the event, in milliseconds since the epoch."""
        return sequence_time_ms(self.sequence)


LogEntry: TypeAlias = LoggedEvent | LoggedCompositionEvent
"""What the event log has in the order of the sequence numbers."""


class EntryLog(Protocol):
    """Reads all events, those of compositions among those of participants. Raises what `EventLog` raises."""

    def last_sequence(self) -> int:
        """Return the sequence number of the newest durable event or session end, 0 in a new book."""

    def read_entries_after(self, sequence: int, *, limit: int) -> Sequence[LogEntry]:
        """Return the next events after `sequence`, at most `limit`, oldest first."""


class FollowedLog(Protocol):
    """Reads new events as they become durable, without blocking the event loop. Raises what `EventLog` raises.

    In a book that several nodes write, it has the events of the accounts that this node writes: those of others become
    visible in another order than that of their sequence numbers.
    """

    def last_sequence(self) -> int:
        """Return the sequence number of the newest durable event or session end, 0 in a new book."""

    async def read_entries_after(self, sequence: int, *, limit: int) -> Sequence[LogEntry]:
        """Return the next events after `sequence`, at most `limit`, oldest first."""
