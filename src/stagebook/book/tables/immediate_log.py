"""The event log of a store whose reads take less time than switching to another thread, for readers that follow it."""

from collections.abc import Sequence

from stagebook.book.composition_log import EntryLog, LogEntry


class ImmediateLog:
    """Implements `FollowedLog`. It reads on the event loop's thread."""

    def __init__(self, log: EntryLog) -> None:
        """Read `log`, which no other thread may use."""
        self._log = log

    def last_sequence(self) -> int:
        """Return the sequence number of the newest durable event or session end, 0 in a new book."""
        return self._log.last_sequence()

    async def read_entries_after(self, sequence: int, *, limit: int) -> Sequence[LogEntry]:
        """Return the next events after `sequence`, at most `limit`, oldest first."""
        return self._log.read_entries_after(sequence, limit=limit)
