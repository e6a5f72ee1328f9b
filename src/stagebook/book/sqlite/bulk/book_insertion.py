"""Inserts sessions with all their events into a book that no server has open, in one transaction.

A server appends: the book assigns the sequence numbers. An insertion keeps the sequence numbers that it is given. They
must be larger than those in the book, so that the order of the log, and the order of sessions by their keys, stay that
of time. Either all of it becomes durable, with `commit`, or nothing.

Rows are written in groups, by the statements of the writer (`change_rows.py`). The memory is that of a group and of
SQLite's page cache; pages that do not fit it are written to the write-ahead log before the commit.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

import apsw
import msgspec

from stagebook.book.book_errors import BookFailedError
from stagebook.book.book_values import RecordedEvent
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.composition_log import LogEntry, LoggedCompositionEvent
from stagebook.book.sqlite.book_connection import (
    UNREADABLE,
    has_sealed_keys,
    open_for_writing,
    read_failure,
)
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.open_events import NOTE_OPEN_EVENTS, SET_NOTED_SEQUENCE
from stagebook.book.sqlite.sqlite_connection import SqliteConnection
from stagebook.book.sqlite.write_statements import (
    INSERT_COMPOSITION_EVENTS,
    INSERT_EVENTS,
    PUT_COMPOSITIONS,
    PUT_PARTICIPANTS,
    PUT_REPLICAS,
    PUT_SESSIONS,
    PUT_STAGES,
    SHOW_RECORDINGS,
)
from stagebook.book.tables.compositions.composition_reads import LIST_COMPOSITION_EVENTS
from stagebook.book.tables.compositions.composition_rows import (
    composition_event_row,
    composition_row,
    composition_value,
    logged_composition_event,
)
from stagebook.book.tables.queries import LAST_SEQUENCE
from stagebook.book.tables.rows import (
    REPLICATION_STATE_CODE,
    Row,
    event_row,
    participant_record,
    participant_row,
    recorded_event,
    recording_row,
    stage_row,
)
from stagebook.book.tables.session_history import HISTORY_EVENTS
from stagebook.book.tables.stored_row_keys import LAST_COMPOSITION_KEY, LAST_KEYS
from stagebook.book.tables.stream_key_seal import ReadSecret, StreamKeySeal
from stagebook.book.tables.table_connection import UNDECODABLE
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.stage.composition.composition import Composition
from stagebook.stage.composition.composition_events import CompositionEvent
from stagebook.stage.events import Event
from stagebook.stage.resources import ParticipantRecord, RecordingState, Replica, Stage, StageSession

ROWS_PER_GROUP = 5_000
CACHE_SIZE_KIB = 131_072
"""Events of many participants are inserted all over table `event`: a small cache would write its pages many times."""

_FIND_STAGE = "SELECT stage_key, deleted_ms IS NOT NULL FROM stage WHERE arn = ?"
_FIND_SESSION = "SELECT session_key, start_ms, end_ms FROM session WHERE stage_key = ? AND session_id = ?"
_LAST_SESSION = """
SELECT session_id, end_ms FROM session INDEXED BY session_of_stage WHERE stage_key = ? ORDER BY session_key DESC LIMIT 1
"""
_COUNT_EVENTS = "SELECT count(*) FROM event WHERE session_key = ?"
_FIND_PARTICIPANT = """
SELECT participant_id, user_id, state, published, first_join_ms, rest, recording_state, recording_bucket,
    recording_prefix
FROM participant
WHERE session_key = ? AND number = ?
"""
_FIND_COMPOSITION = "SELECT value, composition_key FROM composition WHERE arn = ?"
_NUMBERS = "SELECT participant_id, number FROM participant WHERE session_key = ?"


class StoredStage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of the book."""

    key: int
    is_deleted: bool


class StoredSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session of the book."""

    key: int
    start_ms: int
    end_ms: int | None


class BookInsertion:
    """One insertion. Use it as a context manager: what is not committed is undone. Only one thread may use it.

    Methods raise BookFailedError if the book cannot be read or written.
    """

    def __init__(self, path: Path, lock: BookLock, *, read_secret: ReadSecret) -> None:
        """Open the book at `path`, or create it, and begin. The caller holds `lock`, the lock on it, until the end.

        Raises BookRefusedError, and what `read_secret` raises.
        """
        assert lock is not None  # noqa: S101 - it is asked for so that nobody forgets to take it
        self._path = path
        self._is_new = not path.exists()
        self._is_done = False
        seal = StreamKeySeal(read_secret(may_generate=not has_sealed_keys(path)))
        self._connection = open_for_writing(path, seal=seal)
        self._connection.execute(f"PRAGMA cache_size = -{CACHE_SIZE_KIB}; BEGIN IMMEDIATE").fetchall()
        self.last_sequence: int = self._rows(LAST_SEQUENCE)[0][0]
        """The newest sequence number of the book, also of a session end; that of this insertion does not count."""
        self.last_stage_key, self.last_session_key = self._rows(LAST_KEYS)[0]
        self._last_composition_key = int(self._rows(LAST_COMPOSITION_KEY)[0][0])
        self._log = TableEventLog(SqliteConnection(self._connection))
        self._events: list[Row] = []
        self._participants: list[Row] = []
        self._recordings: list[Row] = []
        self._composition_events: list[Row] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_done:
            self._connection.execute("ROLLBACK").fetchall()
        # Closing the only connection of a book empties and removes its write-ahead log.
        self._connection.close()
        if self._is_new and not self._is_done:
            self._path.unlink(missing_ok=True)

    def find_stage(self, arn: str) -> StoredStage | None:
        """Return a stage, also a deleted one."""
        rows = self._rows(_FIND_STAGE, arn)
        return StoredStage(key=rows[0][0], is_deleted=bool(rows[0][1])) if rows else None

    def find_session(self, stage_key: int, session_id: str) -> StoredSession | None:
        """Return a session of a stage."""
        rows = self._rows(_FIND_SESSION, stage_key, session_id)
        return StoredSession(key=rows[0][0], start_ms=rows[0][1], end_ms=rows[0][2]) if rows else None

    def last_session(self, stage_key: int) -> tuple[str, int | None] | None:
        """Return the id and the end in ms of the newest session of a stage; the end of an open one is None."""
        rows = self._rows(_LAST_SESSION, stage_key)
        return rows[0] if rows else None

    def count_events(self, session_key: int) -> int:
        """Return how many events a session has."""
        return int(self._rows(_COUNT_EVENTS, session_key)[0][0])

    def participant_numbers(self, session_key: int) -> dict[str, int]:
        """Return the numbers of the participants of a session, by their ids."""
        return dict(self._rows(_NUMBERS, session_key))

    def find_participant(self, session_key: int, number: int) -> ParticipantRecord | None:
        """Return the row of a participant of the book."""
        rows = self._rows(_FIND_PARTICIPANT, session_key, number)
        try:
            return participant_record(rows[0]) if rows else None
        except UNDECODABLE as error:
            raise read_failure(self._connection, error) from error

    def find_events(self, sequences: list[int]) -> dict[int, LogEntry]:
        """Return those events of the book that have these sequence numbers, by them."""
        self._flush()
        return {logged.sequence: logged for logged in self._log.read_entries_at(sequences)}

    def find_composition(self, arn: str) -> tuple[int, Composition] | None:
        """Return the key and the row of a composition."""
        rows = self._rows(_FIND_COMPOSITION, arn)
        try:
            return (rows[0][1], composition_value(rows[0])) if rows else None
        except UNDECODABLE as error:
            raise read_failure(self._connection, error) from error

    def composition_events(self, arn: str) -> list[LoggedCompositionEvent]:
        """Return the events of a composition of the book, oldest first."""
        self._flush()
        try:
            rows = self._connection.execute(LIST_COMPOSITION_EVENTS, {"arn": arn, "after": 0, "limit": -1}).fetchall()
            return [logged_composition_event(row) for row in rows]
        except (*UNREADABLE, *UNDECODABLE) as error:
            raise read_failure(self._connection, error) from error

    def add_composition(self) -> int:
        """Return the key of a new composition. `put_composition` writes it."""
        self._last_composition_key += 1
        return self._last_composition_key

    def put_composition(self, composition_key: int, composition: Composition) -> None:
        """Write a composition."""
        self._write(PUT_COMPOSITIONS, [composition_row(composition_key, composition)])

    def add_composition_event(self, composition_key: int, sequence: int, event: CompositionEvent) -> None:
        """Add an event of a composition."""
        self._composition_events.append(composition_event_row(composition_key, sequence, event))
        self.last_sequence = max(self.last_sequence, sequence)
        self._flush_full()

    def participant_events(self, session_key: int, participant_id: str) -> list[RecordedEvent]:
        """Return the events of a participant of a session, oldest first."""
        self._flush()
        number = self.participant_numbers(session_key).get(participant_id)
        if number is None:
            return []
        rows = self._rows(HISTORY_EVENTS, session_key, number)
        try:
            return [recorded_event(participant_id, row) for row in rows]
        except UNDECODABLE as error:
            raise read_failure(self._connection, error) from error

    def add_stage(self, stage: Stage) -> int:
        """Add a stage; return its key."""
        self.last_stage_key += 1
        self._write(PUT_STAGES, [stage_row(self.last_stage_key, stage)])
        return int(self.last_stage_key)

    def add_session(self) -> int:
        """Return the key of a new session. `put_session` writes it."""
        self.last_session_key += 1
        return int(self.last_session_key)

    def put_session(self, session_key: int, stage_key: int, session: StageSession) -> None:
        """Write a session, or its end."""
        row = (session_key, stage_key, session.session_id, session.start_ms, session.end_ms)
        self._write(PUT_SESSIONS, [row])
        if session.end_ms is not None:
            self.last_sequence = max(self.last_sequence, session.end_ms << SEQUENCE_TIME_SHIFT)

    def put_participant(self, session_key: int, number: int, record: ParticipantRecord) -> None:
        """Write the row of a participant."""
        self._participants.append(participant_row(session_key, number, record))
        if record.recording_state is not RecordingState.DISABLED:
            self._recordings.append(recording_row(session_key, number, record))
        self._flush_full()

    def add_event(self, session_key: int, number: int, sequence: int, event: Event) -> None:
        """Add an event of a participant. Its session and participant may be written later."""
        self._events.append(event_row(session_key, number, sequence, event))
        self.last_sequence = max(self.last_sequence, sequence)
        self._flush_full()

    def put_replica(self, replica: Replica) -> None:
        """Write a replica. Both sessions must have been written."""
        keys = []
        for arn, session_id in (
            (replica.source_stage_arn, replica.source_session_id),
            (replica.destination_stage_arn, replica.destination_session_id),
        ):
            stage = self.find_stage(arn)
            session = None if stage is None else self.find_session(stage.key, session_id)
            if stage is None or session is None:
                raise BookFailedError(f"the book has no session {session_id} of {arn}")
            keys.append((stage.key, session.key))
        (source_stage, source), (_, destination) = keys
        row = (source_stage, source, replica.participant_id, destination, REPLICATION_STATE_CODE[replica.state])
        self._write(PUT_REPLICAS, [row])

    def commit(self) -> None:
        """Make everything durable."""
        self._flush()
        self._execute("UPDATE sequencer SET last_sequence = max(last_sequence, ?)", self.last_sequence)
        self._execute(SET_NOTED_SEQUENCE, self.last_sequence)
        self._execute("COMMIT")
        self._is_done = True

    def _flush_full(self) -> None:
        if len(self._events) + len(self._participants) + len(self._composition_events) >= ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        for statements, rows in (
            ((INSERT_EVENTS, NOTE_OPEN_EVENTS), self._events),
            ((PUT_PARTICIPANTS,), self._participants),
            ((SHOW_RECORDINGS,), self._recordings),
            ((INSERT_COMPOSITION_EVENTS,), self._composition_events),
        ):
            for statement in statements if rows else ():
                self._write(statement, rows)
            rows.clear()

    def _write(self, statement: str, rows: list[Row]) -> None:
        self._execute(statement, msgspec.json.encode(rows).decode())

    def _execute(self, statement: str, *parameters: str | int) -> None:
        try:
            self._connection.execute(statement, parameters).fetchall()
        except apsw.Error as error:
            raise BookFailedError(f"{self._path} cannot be written: {error}") from error

    def _rows(self, statement: str, *parameters: str | int) -> list[Row]:
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except UNREADABLE as error:
            raise read_failure(self._connection, error) from error
