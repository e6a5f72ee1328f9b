"""What a scan of a book yields, and the rows of one table on the way (`book_scan.py`)."""

from collections.abc import Iterator

import msgspec

from stagebook.book.book_values import RecordedEvent
from stagebook.book.tables.rows import Row
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantRecord


class ScannedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A row of table `session`. The members of the stage are None if there is no such stage."""

    key: int
    stage_key: int
    stage_arn: str | None
    account_id: str | None
    session_id: str
    start_ms: int
    end_ms: int | None


class Undecodable(msgspec.Struct, frozen=True, kw_only=True):
    """A row with values that no writer stores: why it cannot be decoded, and an event's sequence number."""

    reason: str
    sequence: int = 0


class ScannedParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """All rows of one participant number of a session.

    `record` is None without a row of table `participant`. `events` must be consumed before the next participant.
    `open_events` has the counts of table `open_event`, by the name of the start and what it is about.
    """

    session_key: int
    number: int
    record: ParticipantRecord | Undecodable | None
    events: Iterator[RecordedEvent | Undecodable]
    open_events: dict[tuple[EventName, str], int]


class KeyedRows:
    """Rows of a table in the order of the scan, one row ahead."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.row: Row | None = next(rows, None)

    @property
    def key(self) -> tuple[int, int]:
        """The session key and participant number of the next row; (0, 0), which is below all keys, at the end."""
        return (0, 0) if self.row is None else (self.row[0], self.row[1])

    def take(self, key: tuple[int, int]) -> Iterator[Row]:
        """Yield the rows with this key and move on."""
        while self.row is not None and (self.row[0], self.row[1]) == key:
            row, self.row = self.row, next(self._rows, None)
            yield row
