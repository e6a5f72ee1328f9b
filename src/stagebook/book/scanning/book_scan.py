"""Reads every row of a book once, as it was at one moment, with memory for one participant at a time.

Four cursors run along the primary keys of their tables, all from the largest session key and participant number to the
smallest: so the events of a participant come oldest first. SQLite does not sort them (table `event` is clustered newest
first); PostgreSQL sorts those of one participant at a time. Rows that belong to nothing that exists are yielded as
well.

The scan is one read transaction; servers can go on writing meanwhile.
"""

import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import apsw

from stagebook.book.book_errors import BookDamagedError
from stagebook.book.book_source import BookSource
from stagebook.book.book_values import RecordedEvent
from stagebook.book.changes import sequence_time_ms
from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.book.scanning.row_stream import RowStream, open_row_stream
from stagebook.book.scanning.scan_rows import KeyedRows, ScannedParticipant, ScannedSession, Undecodable
from stagebook.book.sqlite.open_events import STARTS
from stagebook.book.tables.compositions.composition_reads import LIST_COMPOSITION_EVENTS
from stagebook.book.tables.compositions.composition_rows import composition_value, logged_composition_event
from stagebook.book.tables.queries import LAST_SEQUENCE
from stagebook.book.tables.rows import (
    EVENT_NAME_CODE,
    Row,
    event_row,
    participant_record,
    recorded_event,
    replica_value,
    resource_value,
    stage_value,
)
from stagebook.book.tables.table_connection import UNDECODABLE
from stagebook.stage.composition.composition import Composition
from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import ParticipantRecord, Replica

_PUBLISH_STOPPED = EVENT_NAME_CODE[EventName.PUBLISH_STOPPED]
_NAMES = tuple(EventName)
_STARTS = frozenset(EVENT_NAME_CODE[name] for name in STARTS)
_NO_LIMIT = (1 << 63) - 1

_SESSIONS = """
SELECT session.session_key, session.session_id, session.start_ms, session.end_ms, session.stage_key, stage.arn,
    stage.account_id
FROM session LEFT JOIN stage ON stage.stage_key = session.stage_key ORDER BY session.session_key DESC
"""
_PARTICIPANTS = """
SELECT session_key, number, participant_id, user_id, state, published, first_join_ms, rest, recording_state,
    recording_bucket, recording_prefix
FROM participant
ORDER BY session_key DESC, number DESC
"""
_EVENTS = """
SELECT session_key, participant_number, sequence, name, error_code, remote_participant_id, replica, cause, detail, extra
FROM event ORDER BY session_key DESC, participant_number DESC, sequence
"""
_OPEN_EVENTS = """
SELECT session_key, participant_number, name, about, open_count FROM open_event
ORDER BY session_key DESC, participant_number DESC
"""
_OPEN_RECORDINGS = "SELECT session_key, participant_number FROM open_recording WHERE is_shown = 1"
_STOPS = f"""
SELECT participant.participant_id, event.sequence FROM event CROSS JOIN participant
    ON participant.session_key = event.session_key AND participant.number = event.participant_number
WHERE event.session_key = ? AND event.name = {_PUBLISH_STOPPED}
ORDER BY event.participant_number DESC, event.sequence
"""  # noqa: S608 - the code of a name
_REPLICAS = """
SELECT source.arn, source_session.session_id, replica.participant_id, destination.arn, destination_session.session_id,
    replica.state, replica.replica_key
FROM replica
    LEFT JOIN stage AS source ON source.stage_key = replica.source_stage_key
    LEFT JOIN session AS source_session ON source_session.session_key = replica.source_session_key
    LEFT JOIN session AS destination_session ON destination_session.session_key = replica.destination_session_key
    LEFT JOIN stage AS destination ON destination.stage_key = destination_session.stage_key
WHERE replica.source_session_key NOT IN (SELECT session_key FROM expired_session)
    AND replica.destination_session_key NOT IN (SELECT session_key FROM expired_session)
"""
_REVOCATIONS_OF_NO_STAGE = """
SELECT participant_id FROM revocation WHERE NOT EXISTS (
    SELECT 1 FROM stage WHERE stage.stage_key = revocation.stage_key)
"""
_DOUBLE_SEQUENCES = """
SELECT sequence, count(*) FROM event INDEXED BY event_by_sequence GROUP BY sequence HAVING count(*) > 1
UNION ALL
SELECT composition_event.sequence, 2 FROM composition_event CROSS JOIN event INDEXED BY event_by_sequence
    ON event.sequence = composition_event.sequence
"""
_NEWEST = """
SELECT (SELECT coalesce(max(sequence), 0) FROM event), (SELECT coalesce(max(sequence), 0) FROM composition_event),
    (SELECT coalesce(max(end_ms), 0) FROM session)
"""
_COMPOSITIONS = "SELECT value, arn, account_id, stage_arn FROM composition ORDER BY composition_key"
_EVENTS_OF_NO_COMPOSITION = """
SELECT sequence FROM composition_event WHERE composition_key NOT IN (SELECT composition_key FROM composition)
    AND composition_key NOT IN (SELECT composition_key FROM expired_composition) ORDER BY sequence
"""
_STAGES = "SELECT arn, account_id, name, created_ms, tags, recording, NULL FROM stage ORDER BY stage_key"
_RESOURCES = "SELECT value, arn, account_id FROM resource ORDER BY resource_key"

_Value = TypeVar("_Value")


class BookScan:
    """An open book that is read once. All reads see the book as it was when it was opened.

    Reads raise READ_ERRORS for a damaged book, and BookFailedError.
    """

    def __init__(self, source: BookSource) -> None:
        """Open the book, also while servers are writing it. Raises BookRefusedError and BookFailedError."""
        self._stream = open_row_stream(source)
        self._rows = self._stream.rows
        self.open_recordings: set[tuple[int, int]] = set(self._rows(_OPEN_RECORDINGS))
        """The session keys and participant numbers of recordings that run, and that the participants show."""
        self._unnoted = _unnoted_counts(self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def database_faults(self) -> Iterator[str]:
        """Yield what the store itself finds wrong."""
        return self._stream.faults()

    def newest(self) -> tuple[int | None, int, int]:
        """Return the last sequence number of the book, that of its newest event, and the latest session end in ms.

        The first is None if the book has no row for it.
        """
        ((of_participants, of_compositions, end_ms),) = self._rows(_NEWEST)
        stored = next(self._rows(LAST_SEQUENCE), (None,))
        return stored[0], max(of_participants, of_compositions), end_ms

    def double_sequences(self) -> Iterator[tuple[int, int]]:
        """Yield each sequence number that several events have, and how many."""
        yield from self._rows(_DOUBLE_SEQUENCES)

    def expired_sessions(self) -> set[int]:
        """Return the keys of sessions whose rows are being deleted by age."""
        return {key for (key,) in self._rows("SELECT session_key FROM expired_session")}

    def sessions(self) -> Iterator[ScannedSession]:
        """Yield all sessions, the newest first."""
        for key, session_id, start_ms, end_ms, stage_key, arn, account_id in self._rows(_SESSIONS):
            yield ScannedSession(
                key=key,
                stage_key=stage_key,
                stage_arn=arn,
                account_id=account_id,
                session_id=session_id,
                start_ms=start_ms,
                end_ms=end_ms,
            )

    def publication_stops(self, session_key: int) -> dict[str, "array[int]"]:
        """Return the times of all PUBLISH_STOPPED of a session in ms, in their order, by participant id."""
        stops: dict[str, array[int]] = {}
        for participant_id, sequence in self._rows(_STOPS, (session_key,)):
            stops.setdefault(participant_id, array("q")).append(sequence_time_ms(sequence))
        return stops

    def participants(self) -> Iterator[ScannedParticipant]:
        """Yield the participants of all sessions, in the order of `sessions`, the newest of each first."""
        rows, events, opened = (KeyedRows(self._rows(each)) for each in (_PARTICIPANTS, _EVENTS, _OPEN_EVENTS))
        while (key := max(rows.key, events.key, opened.key)) != (0, 0):
            record: ParticipantRecord | Undecodable | None = None
            for row in rows.take(key):
                record = _decoded(lambda row: participant_record(row[2:]), row)
            participant_id = record.participant_id if isinstance(record, ParticipantRecord) else ""
            yield ScannedParticipant(
                session_key=key[0],
                number=key[1],
                record=record,
                events=_events(events.take(key), participant_id),
                open_events=_open_counts(opened.take(key), self._unnoted.get(key, ())),
            )
            for _ in events.take(key):
                pass

    def replicas(self) -> Iterator[Replica | Undecodable]:
        """Yield all replicas. One of a stage or session that does not exist is undecodable."""
        for row in self._rows(_REPLICAS):
            if None in row:
                yield Undecodable(reason=f"the replication of {row[2]} has no stage or session")
            else:
                yield _decoded(lambda row: replica_value(row[:-1]), row)

    def revocations_of_no_stage(self) -> Iterator[str]:
        """Yield the participants of revocations whose stage does not exist."""
        for (participant_id,) in self._rows(_REVOCATIONS_OF_NO_STAGE):
            yield participant_id

    def compositions(
        self,
    ) -> Iterator[tuple[Composition | Undecodable, Iterator[LoggedCompositionEvent | Undecodable]]]:
        """Yield each composition with its events, which must be consumed before the next one."""
        for row in self._rows(_COMPOSITIONS):
            value = _decoded(composition_value, row)
            if isinstance(value, Composition) and (value.arn, value.account_id, value.stage_arn) != row[1:]:
                value = Undecodable(reason=f"{row[1]} has the value of {value.arn}")
            parameters = {"arn": row[1], "after": 0, "limit": _NO_LIMIT}
            events = self._rows(LIST_COMPOSITION_EVENTS, parameters)
            yield value, (_decoded(logged_composition_event, each, sequence=each[3]) for each in events)

    def events_of_no_composition(self) -> Iterator[int]:
        """Yield the sequence numbers of events whose composition does not exist."""
        for (sequence,) in self._rows(_EVENTS_OF_NO_COMPOSITION):
            yield sequence

    def undecodable_stages(self) -> Iterator[Undecodable]:
        """Yield the stages whose rows cannot be decoded."""
        for row in self._rows(_STAGES):
            if isinstance(value := _decoded(stage_value, row), Undecodable):
                yield Undecodable(reason=f"stage {row[0]} cannot be read: {value.reason}")

    def undecodable_resources(self) -> Iterator[Undecodable]:
        """Yield the resources that are no stages and whose rows cannot be decoded, or have another one's value."""
        for row in self._rows(_RESOURCES):
            value = _decoded(resource_value, row)
            if isinstance(value, Undecodable):
                yield Undecodable(reason=f"resource {row[1]} cannot be read: {value.reason}")
            elif (value.arn, value.account_id) != row[1:]:
                yield Undecodable(reason=f"resource {row[1]} has the value of {value.arn}")


def about_of(event: Event) -> str:
    """Return what table `open_event` has in column `about` for a start (`change_rows.py`)."""
    row = event_row(0, 0, 0, event)
    return str(row[5] if row[5] is not None else row[9] or "")


def _events(rows: Iterator[Row], participant_id: str) -> Iterator[RecordedEvent | Undecodable]:
    for row in rows:
        yield _decoded(lambda row: recorded_event(participant_id, row[2:]), row, sequence=row[2])


def _unnoted_counts(stream: RowStream) -> dict[tuple[int, int], list[tuple[int, str, int]]]:
    """Return what the events say that table `open_event` does not have yet: starts and ends of each participant."""
    found: dict[tuple[int, int], list[tuple[int, str, int]]] = {}
    for session_key, number, _, name, about, is_end in stream.unnoted_events():
        if name - is_end in _STARTS:
            found.setdefault((session_key, number), []).append((name - is_end, about, -1 if is_end else 1))
    return found


def _open_counts(rows: Iterator[Row], unnoted: Iterable[tuple[int, str, int]]) -> dict[tuple[EventName, str], int]:
    """Return what is open by table `open_event` and the events that it does not have yet."""
    counts: Counter[tuple[EventName, str]] = Counter()
    for name, about, count in itertools.chain((row[2:] for row in rows), unnoted):
        if 0 <= name < len(_NAMES):
            counts[_NAMES[name], about] += count
    return {key: count for key, count in counts.items() if count}


def _decoded(decode: Callable[[Row], _Value], row: Row, *, sequence: int = 0) -> _Value | Undecodable:
    try:
        return decode(row)
    except UNDECODABLE as error:
        return Undecodable(reason=str(error), sequence=sequence)


READ_ERRORS = (apsw.Error, UnicodeDecodeError, BookDamagedError)
"""What the reads of a `BookScan` raise for a damaged book."""
