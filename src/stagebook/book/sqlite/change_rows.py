"""The translation of changes to rows, and the SQL statements that write the rows.

Each statement writes all rows of its table that a group of transactions has. It takes them as one parameter, a JSON
array of arrays, which `jsonb_each` splits. A group therefore costs a handful of calls into SQLite, however many events
it holds. apsw releases the interpreter's lock (GIL) during each call; with one call per row, the writer thread would
have to compete with a busy event loop for the GIL at every row.

`ChangeTranslator` assigns keys and participant numbers before a row is written. Rows of different tables can therefore
be written in any order, and rows of one table are written in the order of their changes.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from stagebook.book.changes import (
    SEQUENCE_TIME_SHIFT,
    AppendCompositionEvent,
    AppendEvent,
    Change,
    DeleteResource,
    DeleteStage,
    EndSession,
    OpenSession,
    PutComposition,
    PutParticipant,
    PutRecording,
    PutReplica,
    PutResource,
    PutStage,
    RevokeConnectionToken,
    RevokeParticipant,
)
from stagebook.book.event_counts import EventCounts
from stagebook.book.sqlite.compositions.composition_rows import composition_event_row, composition_row
from stagebook.book.sqlite.row_keys import RowKeys, SessionKeys, Undo
from stagebook.book.sqlite.rows import (
    ERROR_CODE_CODE,
    EVENT_NAME_CODE,
    RECORDING_STATE_CODE,
    REPLICATION_STATE_CODE,
    Row,
    event_row,
    participant_row,
    resource_row,
    stage_row,
)
from stagebook.book.sqlite.stream_key_seal import StreamKeySeal
from stagebook.book.store import BookFailedError, ChangeRefusedError
from stagebook.stage.events import RECORDING_EVENT_NAMES
from stagebook.stage.resources import ParticipantRecord, ParticipantState, Replica

MAXIMUM_TIME_MS = 1 << (63 - SEQUENCE_TIME_SHIFT)
"""The first time whose sequence number does not fit a signed 64-bit integer. It is in the year 2248."""

PUT_STAGES = """
INSERT INTO stage (stage_key, arn, account_id, name, created_ms, tags, recording)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 FROM jsonb_each(?) WHERE true
ON CONFLICT (stage_key) DO UPDATE SET name = excluded.name, tags = excluded.tags, recording = excluded.recording
"""
DELETE_STAGES = """
UPDATE stage SET deleted_ms = change.value->>1 FROM jsonb_each(?) AS change WHERE stage_key = change.value->>0
"""
PUT_SESSIONS = """
INSERT INTO session (session_key, stage_key, session_id, start_ms, end_ms)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?) WHERE true
ON CONFLICT (session_key) DO UPDATE SET end_ms = excluded.end_ms
"""
PUT_PARTICIPANTS = """
INSERT INTO participant (session_key, number, participant_id, user_id, state, published, first_join_ms, rest)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7
FROM jsonb_each(?) WHERE true
ON CONFLICT (session_key, number) DO UPDATE SET user_id = excluded.user_id, state = excluded.state,
    published = excluded.published, first_join_ms = excluded.first_join_ms, rest = excluded.rest
"""
# What the row of a participant shows of its recording. The row exists, so this never inserts one; an upsert applies the
# rows of a group in their order, which UPDATE FROM would not.
SHOW_RECORDINGS = """
INSERT INTO participant (session_key, number, participant_id, user_id, state, published,
    recording_state, recording_bucket, recording_prefix)
SELECT value->>0, value->>1, value->>2, '', 1, 0, value->>3, value->>4, value->>5
FROM jsonb_each(?) WHERE value->>8
ON CONFLICT (session_key, number) DO UPDATE SET recording_state = excluded.recording_state,
    recording_bucket = excluded.recording_bucket, recording_prefix = excluded.recording_prefix
"""
NOTE_OPEN_RECORDINGS = """
INSERT INTO open_recording (session_key, participant_number, state, bucket, prefix, recording_id, is_started, is_shown)
SELECT value->>0, value->>1, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8
FROM jsonb_each(?) WHERE true
ON CONFLICT (recording_id) DO UPDATE SET session_key = excluded.session_key,
    participant_number = excluded.participant_number, state = excluded.state, bucket = excluded.bucket,
    prefix = excluded.prefix, is_started = excluded.is_started, is_shown = excluded.is_shown
"""
INSERT_EVENTS = """
INSERT INTO event (session_key, participant_number, sequence, name, error_code, remote_participant_id, replica,
    cause, detail, extra)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8,
    CAST(value->>9 AS BLOB)
FROM jsonb_each(?)
"""
INSERT_REVOCATIONS = """
INSERT OR IGNORE INTO revocation (stage_key, participant_id, revoked_ms, reason)
SELECT value->>0, value->>1, value->>2, value->>3 FROM jsonb_each(?)
"""
# This statement also deletes: a trigger removes a row whose value is NULL (see schema.py).
PUT_RESOURCES = """
INSERT INTO resource (arn, account_id, resource_type, value)
SELECT value->>0, value->>1, value->>2, value->>3 FROM jsonb_each(?) WHERE true
ON CONFLICT (arn) DO UPDATE SET value = excluded.value
"""
PUT_REPLICAS = """
INSERT INTO replica (source_stage_key, source_session_key, participant_id, destination_session_key, state)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?) WHERE true
ON CONFLICT (source_session_key, participant_id, destination_session_key) DO UPDATE SET state = excluded.state
"""
INSERT_CONNECTION_REVOCATIONS = """
INSERT INTO connection_token_revocation (account_id, token_id, revoked_ms)
SELECT value->>0, value->>1, value->>2 FROM jsonb_each(?) WHERE true
ON CONFLICT (account_id, token_id) DO NOTHING
"""
PUT_COMPOSITIONS = """
INSERT INTO composition (composition_key, arn, account_id, stage_arn, start_ms, end_ms, value)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 FROM jsonb_each(?) WHERE true
ON CONFLICT (composition_key) DO UPDATE SET end_ms = excluded.end_ms, value = excluded.value
"""
INSERT_COMPOSITION_EVENTS = """
INSERT INTO composition_event (sequence, composition_key, name, destination_id, error_code, cause)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5 FROM jsonb_each(?)
"""

STATEMENTS = (
    (PUT_STAGES,),
    (DELETE_STAGES,),
    (PUT_SESSIONS,),
    (PUT_PARTICIPANTS,),
    (SHOW_RECORDINGS, NOTE_OPEN_RECORDINGS),
    (INSERT_EVENTS,),
    (INSERT_REVOCATIONS,),
    (PUT_RESOURCES,),
    (PUT_REPLICAS,),
    (INSERT_CONNECTION_REVOCATIONS,),
    (PUT_COMPOSITIONS,),
    (INSERT_COMPOSITION_EVENTS,),
)
"""The statements for each kind of row. All of a kind get the same rows."""
EVENTS_INDEX = STATEMENTS.index((INSERT_EVENTS,))
"""The statement of events. The writer notes its rows in table `open_event` as well (`open_events.py`)."""
(
    _STAGES,
    _DELETIONS,
    _SESSIONS,
    _PARTICIPANTS,
    _RECORDINGS,
    _EVENTS,
    _REVOCATIONS,
    _RESOURCES,
    _REPLICAS,
    _CONNECTION_REVOCATIONS,
    _COMPOSITIONS,
    _COMPOSITION_EVENTS,
) = range(len(STATEMENTS))

TransactionRows: TypeAlias = list[tuple[int, str]]
"""The rows of one transaction, one for each change: an index into STATEMENTS, and the row as a JSON array."""

_encode = msgspec.json.encode
_CONNECTED = ParticipantState.CONNECTED


class ChangeTranslator:
    """Checks transactions, translates them to rows, and assigns the sequence numbers of events.

    Transactions must be translated in the order in which they are committed. `last_sequence` is the newest sequence
    number that was assigned.
    """

    def __init__(self, keys: RowKeys, *, seal: StreamKeySeal, last_sequence: int) -> None:
        self._keys = keys
        self._seal = seal
        self.last_sequence = last_sequence
        self.event_counts = EventCounts()
        """The events of all transactions that were translated."""
        self._put: list[tuple[SessionKeys, ParticipantRecord]] = []
        """The participants that the transaction has put so far."""

    def translate(self, changes: Sequence[Change]) -> tuple[tuple[int, ...], TransactionRows]:
        """Return the sequence numbers of the events in `changes`, and the rows of all changes.

        Raises ChangeRefusedError if a change contradicts the book or has a value that cannot be stored, and
        BookFailedError if the book cannot be read. The keys and sequence numbers that the transaction had taken are
        then given back.
        """
        undo: Undo = []
        self._put.clear()
        last_sequence = self.last_sequence
        rows: TransactionRows = []
        sequences: list[int] = []
        count_by_name = self.event_counts.by_name
        try:
            for change in changes:
                # The two most frequent changes come first: this loop is a hot path.
                if type(change) is AppendEvent:
                    table, row = _EVENTS, self._event_row(change)
                    sequences.append(self.last_sequence)
                    # The members of `event_row`. Errors are rare, so the others are counted in place.
                    if row[4] is None:
                        count_by_name[row[3]] += 1
                    else:
                        self.event_counts.add(row[3], row[4])
                elif type(change) is PutParticipant:
                    table, row = _PARTICIPANTS, self._participant_row(change, undo)
                else:
                    table, row = self._rare_row(change, undo, sequences)
                rows.append((table, _encode(row).decode()))
        except Exception as error:
            self.last_sequence = last_sequence
            for undo_step in reversed(undo):
                undo_step()
            self._take_back(changes, len(sequences))
            if isinstance(error, ChangeRefusedError | BookFailedError):
                raise
            raise ChangeRefusedError(f"a change has a value of a wrong type or range: {error}") from error
        for session, record in self._put:
            is_connected = record.state is _CONNECTED
            if session.left or not is_connected:
                self._keys.note_connected(session, record.participant_id, is_connected=is_connected)
        self._keys.submitted += 1
        return tuple(sequences), rows

    def _take_back(self, changes: Sequence[Change], count: int) -> None:
        """Take the first `count` events of a refused transaction out of the counters."""
        events = [change for change in changes if isinstance(change, AppendEvent | AppendCompositionEvent)]
        for event in (change.event for change in events[:count] if isinstance(change, AppendEvent)):
            self.event_counts.add(EVENT_NAME_CODE[event.name], ERROR_CODE_CODE[event.error_code], count=-1)

    def _event_row(self, change: AppendEvent) -> Row:
        """Return the row of an event, with the next sequence number, which is `last_sequence` then."""
        if change.event.name in RECORDING_EVENT_NAMES:
            session = self._keys.any_session(change.stage_arn, change.session_id)
        else:
            session = self._keys.open_session(change.stage_arn, change.session_id)
        number = session.numbers.get(change.participant_id)
        if number is None:
            number = self._keys.find_number(session, change.participant_id)
        if number is None:
            raise ChangeRefusedError(f"participant {change.participant_id} is not in session {change.session_id}")
        return event_row(session.session_key, number, self._next_sequence(change.at_ms), change.event)

    def _composition_event_row(self, change: AppendCompositionEvent, sequences: list[int]) -> Row:
        key = self._keys.composition_key(change.composition_arn)
        sequences.append(self._next_sequence(change.at_ms))
        return composition_event_row(key, self.last_sequence, change.event)

    def _next_sequence(self, at_ms: int) -> int:
        """Assign the next sequence number. They grow strictly, even when the wall clock goes back."""
        if not 0 <= at_ms < MAXIMUM_TIME_MS:
            raise ChangeRefusedError(f"{at_ms} ms is not a time of an event")
        self.last_sequence = max(self.last_sequence + 1, at_ms << SEQUENCE_TIME_SHIFT)
        return self.last_sequence

    def _participant_row(self, change: PutParticipant, undo: Undo) -> Row:
        session = self._keys.open_session(change.stage_arn, change.session_id)
        number = self._keys.number(session, change.participant.participant_id, undo)
        self._put.append((session, change.participant))
        return participant_row(session.session_key, number, change.participant)

    def _recording_row(self, change: PutRecording) -> Row:
        session = self._keys.any_session(change.stage_arn, change.session_id)
        number = self._keys.find_number(session, change.participant_id)
        if number is None:
            raise ChangeRefusedError(f"participant {change.participant_id} is not in session {change.session_id}")
        return (
            session.session_key,
            number,
            change.participant_id,
            RECORDING_STATE_CODE[change.state],
            change.bucket_name,
            change.prefix,
            change.recording_id,
            change.is_started,
            change.is_shown,
        )

    def _rare_row(self, change: Change, undo: Undo, sequences: list[int]) -> tuple[int, Row]:
        """Return the statement and the row of a change that is neither of the two frequent ones."""
        match change:
            case PutComposition(composition=composition):
                key = self._keys.put_composition(composition.arn, stage_arn=composition.stage_arn, undo=undo)
                if composition.state.is_final:
                    self._keys.note_composition_ended(composition.arn, undo)
                return _COMPOSITIONS, composition_row(key, composition)
            case AppendCompositionEvent():
                return _COMPOSITION_EVENTS, self._composition_event_row(change, sequences)
            case _:
                return self._stage_row(change, undo)

    def _stage_row(self, change: Change, undo: Undo) -> tuple[int, Row]:
        match change:
            case PutStage(stage=stage):
                known = self._keys.find_stage(stage.arn) or self._keys.add_stage(stage.arn, undo)
                if known.deleted:
                    raise ChangeRefusedError(f"stage {stage.arn} is deleted")
                return _STAGES, stage_row(known.stage_key, stage)
            case DeleteStage():
                known = self._keys.delete_stage(change.stage_arn, undo)
                return _DELETIONS, (known.stage_key, change.at_ms)
            case OpenSession():
                known, session = self._keys.start_session(change.stage_arn, change.session_id, change.start_ms, undo)
                return _SESSIONS, (session.session_key, known.stage_key, session.session_id, session.start_ms, None)
            case EndSession():
                known, session = self._keys.end_session(change.stage_arn, change.session_id, undo)
                # The next session of the stage must not start before this end, even if the server restarts with a
                # clock that went back. So the end counts as the newest time of the book.
                self.last_sequence = max(self.last_sequence, change.end_ms << SEQUENCE_TIME_SHIFT)
                return _SESSIONS, (
                    session.session_key,
                    known.stage_key,
                    session.session_id,
                    session.start_ms,
                    change.end_ms,
                )
            case RevokeParticipant():
                known = self._keys.stage(change.stage_arn)
                if known.deleted:
                    raise ChangeRefusedError(f"stage {change.stage_arn} is deleted")
                return _REVOCATIONS, (known.stage_key, change.participant_id, change.at_ms, change.reason)
            case _:
                return self._resource_row(change)

    def _resource_row(self, change: Change) -> tuple[int, Row]:
        match change:
            case PutResource(resource=resource):
                return _RESOURCES, resource_row(self._seal.sealed(resource))
            case DeleteResource():
                return _RESOURCES, (change.arn, "", "", None)
            case PutRecording():
                return _RECORDINGS, self._recording_row(change)
            case PutReplica(replica=replica):
                return _REPLICAS, self._replica_row(replica)
            case RevokeConnectionToken():
                return _CONNECTION_REVOCATIONS, (change.account_id, change.token_id, change.at_ms)
            case _:
                raise ChangeRefusedError(f"{type(change).__name__} is not a change")

    def _replica_row(self, replica: Replica) -> Row:
        return (
            self._keys.stage(replica.source_stage_arn).stage_key,
            self._keys.session_key(replica.source_stage_arn, replica.source_session_id),
            replica.participant_id,
            self._keys.session_key(replica.destination_stage_arn, replica.destination_session_id),
            REPLICATION_STATE_CODE[replica.state],
        )
