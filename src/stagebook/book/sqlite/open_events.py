"""Table `open_event`: what is open, so that recovery need not read all events.

An event that opens or ends something changes a row of the table, which would cost more than the event itself when each
event is committed alone. Most events are ended before the table is read. The writer counts events, and notes
MAXIMUM_UNNOTED_EVENTS of them with one statement, in which a start and its end cancel out. `sequencer.noted_sequence`
is the newest event that is noted, and changes in the same transaction. The events after it are read from table `event`:
by the writer, and by `note_unnoted` when a book is opened after a crash.
"""

from typing import TypeAlias

import apsw

from stagebook.book.tables.queries import LAST_SEQUENCE
from stagebook.stage.events import EventName

Statement: TypeAlias = tuple[str, tuple[str | int, ...]]
"""An SQL statement and its bindings."""

STARTS = (EventName.JOINED, EventName.PUBLISH_STARTED, EventName.SUBSCRIBE_STARTED, EventName.REPLICATION_STARTED)
"""The events that open something."""

MAXIMUM_UNNOTED_EVENTS = 512
"""How many events are noted at a time: few enough that the transactions which wait meanwhile wait for 2 ms."""

# The codes of names (`rows.py`): (0, 2, 4, 9) are starts, (1, 3, 5, 10) are their ends. The order of the rows does not
# matter. What these events open and end changes a row only if the table has one, which gets the number of the newest
# start. MATERIALIZED, so that each member of a row is read from the JSON once.
_NOTE = """
INSERT INTO open_event (session_key, participant_number, name, about, sequence, open_count)
SELECT session_key, participant_number, name - is_end AS start, about,
    max(iif(is_end, 0, sequence)), sum(iif(is_end, -1, 1)) AS balance
FROM made WHERE name IN (0, 1, 2, 3, 4, 5, 9, 10)
GROUP BY session_key, participant_number, start, about
HAVING balance <> 0 OR EXISTS (SELECT 1 FROM open_event AS noted WHERE noted.session_key = made.session_key
    AND noted.participant_number = made.participant_number AND noted.name = start AND noted.about = made.about)
ON CONFLICT (session_key, participant_number, name, about) DO UPDATE SET
    open_count = open_count + excluded.open_count, sequence = max(sequence, excluded.sequence)
"""
_FROM_JSON = """
WITH made AS MATERIALIZED (
    SELECT value->>0 AS session_key, value->>1 AS participant_number, value->>2 AS sequence, value->>3 AS name,
        coalesce(value->>5, value->>9, '') AS about, (value->>3) IN (1, 3, 5, 10) AS is_end
    FROM jsonb_each(?))
"""
NOTE_OPEN_EVENTS = _FROM_JSON + _NOTE
"""Takes rows of events as INSERT_EVENTS does (`change_rows.py`)."""
SET_NOTED_SEQUENCE = "UPDATE sequencer SET noted_sequence = ?"
UNNOTED_EVENTS = """
SELECT session_key, participant_number, sequence, name,
    coalesce(remote_participant_id, CAST(extra AS TEXT), '') AS about, name IN (1, 3, 5, 10) AS is_end
FROM event INDEXED BY event_by_sequence WHERE sequence > (SELECT noted_sequence FROM sequencer)
"""
_HAS_UNNOTED = "SELECT EXISTS (" + UNNOTED_EVENTS + ")"
_NOTE_UNNOTED = "WITH made AS (" + UNNOTED_EVENTS + ")" + _NOTE


def note_unnoted(connection: apsw.Connection) -> None:
    """Note the events that the last writer has not noted, in one transaction. At most as many as it collected."""
    if connection.execute(_HAS_UNNOTED).fetchall() == [(1,)]:
        connection.execute("BEGIN IMMEDIATE;" + _NOTE_UNNOTED)
        ((last_sequence,),) = connection.execute(LAST_SEQUENCE).fetchall()
        connection.execute(SET_NOTED_SEQUENCE, (last_sequence,))
        connection.execute("COMMIT")


class UnnotedEvents:
    """How many events are committed, or are about to be, and not noted."""

    def __init__(self) -> None:
        self._count = 0
        self._last_sequence = 0

    def add(self, count: int, last_sequence: int) -> None:
        """Add events. `last_sequence` is not below the number of any of them, and not above that of any later one."""
        self._count += count
        self._last_sequence = last_sequence

    @property
    def is_empty(self) -> bool:
        """Whether all events are noted."""
        return not self._count

    @property
    def is_full(self) -> bool:
        """Whether it is time to note them."""
        return self._count >= MAXIMUM_UNNOTED_EVENTS

    def statements(self) -> list[Statement]:
        """Return the statements that note them, for the transaction that commits the last of them or a later one.

        Call `clear` once it is committed.
        """
        return [(_NOTE_UNNOTED, ()), (SET_NOTED_SEQUENCE, (self._last_sequence,))]

    def clear(self) -> None:
        """They are noted."""
        self._count = 0
