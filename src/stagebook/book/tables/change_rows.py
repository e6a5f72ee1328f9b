"""The translation of changes to rows.

A row is a JSON array of its cells, so that a store can write all rows of a kind with one statement and one parameter.

`ChangeTranslator` assigns keys and participant numbers before a row is written. Rows of different tables can therefore
be written in any order, and rows of one table are written in the order of their changes.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from stagebook.book.book_errors import BookFailedError, ChangeRefusedError
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
from stagebook.book.tables.compositions.composition_rows import composition_event_row, composition_row
from stagebook.book.tables.row_keys import RowKeys, SessionKeys, StageKeys, Undo
from stagebook.book.tables.rows import (
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
from stagebook.book.tables.stream_key_seal import StreamKeySeal
from stagebook.stage.events import RECORDING_EVENT_NAMES
from stagebook.stage.resources import ParticipantRecord, ParticipantState, Replica

MAXIMUM_TIME_MS = 1 << (63 - SEQUENCE_TIME_SHIFT)
"""The first time whose sequence number does not fit a signed 64-bit integer. It is in the year 2248."""

(
    STAGES,
    DELETIONS,
    SESSIONS,
    PARTICIPANTS,
    RECORDINGS,
    EVENTS,
    REVOCATIONS,
    RESOURCES,
    REPLICAS,
    CONNECTION_REVOCATIONS,
    COMPOSITIONS,
    COMPOSITION_EVENTS,
) = ROW_KINDS = range(12)
"""The kinds of rows. A store has statements for each; all rows of a kind in a group are written at once."""

TransactionRows: TypeAlias = list[tuple[int, str]]
"""The rows of one transaction, one for each change: its kind, and the row as a JSON array."""

_encode = msgspec.json.encode
_CONNECTED = ParticipantState.CONNECTED


def rows_by_kind(rows: TransactionRows) -> dict[int, list[str]]:
    """Return the rows of each kind that there are rows of, as JSON arrays."""
    by_kind: dict[int, list[str]] = {}
    for kind, row in rows:
        of_kind = by_kind.get(kind)
        if of_kind is None:
            by_kind[kind] = [row]
        else:
            of_kind.append(row)
    return by_kind


class ChangeTranslator:
    """Checks transactions, translates them to rows, and assigns the sequence numbers of events.

    Transactions must be translated in the order in which they are committed. `last_sequence` is the newest sequence
    number that was assigned. Of several writers of one book, each has a slot: it assigns the numbers whose remainder,
    divided by `sequence_slots`, is `sequence_slot`.
    """

    def __init__(
        self, keys: RowKeys, *, seal: StreamKeySeal, last_sequence: int, sequence_slot: int = 0, sequence_slots: int = 1
    ) -> None:
        self._keys = keys
        self.seal = seal
        self.last_sequence = last_sequence
        self._slot = sequence_slot
        self._slots = sequence_slots
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
                    table, row = EVENTS, self._event_row(change)
                    sequences.append(self.last_sequence)
                    # The members of `event_row`. Errors are rare, so the others are counted in place.
                    if row[4] is None:
                        count_by_name[row[3]] += 1
                    else:
                        self.event_counts.add(row[3], row[4])
                elif type(change) is PutParticipant:
                    table, row = PARTICIPANTS, self._participant_row(change, undo)
                else:
                    table, row = self._rare_row(change, undo, sequences)
                rows.append((table, _encode(row).decode()))
        except Exception as error:
            self.last_sequence = last_sequence
            self._revert(changes, len(sequences), undo)
            if isinstance(error, ChangeRefusedError | BookFailedError):
                raise
            raise ChangeRefusedError(f"a change has a value of a wrong type or range: {error}") from error
        if self._put:
            self._note_connected()
        self._keys.submitted += 1
        return tuple(sequences), rows

    def _note_connected(self) -> None:
        """Note which of the participants that the transaction has put are connected."""
        for session, record in self._put:
            is_connected = record.state is _CONNECTED
            if session.left or not is_connected:
                self._keys.note_connected(session, record.participant_id, is_connected=is_connected)

    def _revert(self, changes: Sequence[Change], count: int, undo: Undo) -> None:
        """Give back the keys of a refused transaction, and take its first `count` events out of the counters."""
        for undo_step in reversed(undo):
            undo_step()
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
        sequence = at_ms << SEQUENCE_TIME_SHIFT
        if sequence <= self.last_sequence:
            sequence = self.last_sequence + 1
        sequence += (self._slot - sequence) % self._slots
        self.last_sequence = sequence
        return sequence

    def _participant_row(self, change: PutParticipant, undo: Undo) -> Row:
        session = self._keys.open_session(change.stage_arn, change.session_id)
        number = self._keys.number(session, change.participant.participant_id, undo)
        self._put.append((session, change.participant))
        return participant_row(session.session_key, number, change.participant)

    def _recording_row(self, change: PutRecording, undo: Undo) -> Row:
        session = self._keys.any_session(change.stage_arn, change.session_id)
        number = self._keys.find_number(session, change.participant_id)
        if number is None:
            raise ChangeRefusedError(f"participant {change.participant_id} is not in session {change.session_id}")
        self._keys.note_recording(change.stage_arn, session, change, undo)
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
                return COMPOSITIONS, composition_row(key, composition)
            case AppendCompositionEvent():
                return COMPOSITION_EVENTS, self._composition_event_row(change, sequences)
            case _:
                return self._stage_row(change, undo)

    def _stage_row(self, change: Change, undo: Undo) -> tuple[int, Row]:
        match change:
            case PutStage(stage=stage):
                known = self._keys.find_stage(stage.arn) or self._keys.add_stage(stage.arn, undo)
                if known.deleted:
                    raise ChangeRefusedError(f"stage {stage.arn} is deleted")
                return STAGES, stage_row(known.stage_key, stage)
            case DeleteStage():
                known = self._keys.delete_stage(change.stage_arn, undo)
                return DELETIONS, (known.stage_key, change.at_ms)
            case OpenSession():
                known, session = self._keys.start_session(change.stage_arn, change.session_id, change.start_ms, undo)
                return SESSIONS, _session_row(known, session, end_ms=None)
            case EndSession():
                known, session = self._keys.end_session(change.stage_arn, change.session_id, undo)
                # The next session of the stage must not start before this end, even if the server restarts with a
                # clock that went back. So the end counts as the newest time of the book.
                self.last_sequence = max(self.last_sequence, change.end_ms << SEQUENCE_TIME_SHIFT)
                return SESSIONS, _session_row(known, session, end_ms=change.end_ms)
            case RevokeParticipant():
                known = self._keys.stage(change.stage_arn)
                if known.deleted:
                    raise ChangeRefusedError(f"stage {change.stage_arn} is deleted")
                return REVOCATIONS, (known.stage_key, change.participant_id, change.at_ms, change.reason)
            case _:
                return self._resource_row(change, undo)

    def _resource_row(self, change: Change, undo: Undo) -> tuple[int, Row]:
        match change:
            case PutResource(resource=resource):
                return RESOURCES, resource_row(self.seal.sealed(resource))
            case DeleteResource():
                return RESOURCES, (change.arn, "", "", None)
            case PutRecording():
                return RECORDINGS, self._recording_row(change, undo)
            case PutReplica(replica=replica):
                return REPLICAS, self._replica_row(replica)
            case RevokeConnectionToken():
                return CONNECTION_REVOCATIONS, (change.account_id, change.token_id, change.at_ms)
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


def _session_row(stage: StageKeys, session: SessionKeys, *, end_ms: int | None) -> Row:
    return (session.session_key, stage.stage_key, session.session_id, session.start_ms, end_ms)
