"""A book in plain Python: what transactions and reads mean, without a store. The state machine compares against it."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from stagebook.book.changes import (
    SEQUENCE_TIME_SHIFT,
    AppendEvent,
    Change,
    DeleteResource,
    DeleteStage,
    EndSession,
    OpenSession,
    PutParticipant,
    PutRecording,
    PutReplica,
    PutResource,
    PutStage,
    RevokeConnectionToken,
    RevokeParticipant,
)
from stagebook.stage.events import RECORDING_EVENT_NAMES, Event
from stagebook.stage.resources import (
    ParticipantRecord,
    RecordingState,
    Replica,
    ReplicationState,
    Resource,
    Stage,
    StageSession,
)

Item = TypeVar("Item")
OPEN_STATES = (RecordingState.STARTING, RecordingState.ACTIVE, RecordingState.STOPPING)


class ContradictionError(Exception):
    """The change contradicts the book."""


@dataclass
class ModelSession:
    """A session with its participants in the order in which they were first put, and their events in order."""

    value: StageSession
    participants: dict[str, ParticipantRecord] = field(default_factory=dict)
    events: dict[str, list[tuple[int, Event]]] = field(default_factory=dict)


@dataclass
class ModelStage:
    """A stage with its sessions in order of opening."""

    value: Stage
    deleted_ms: int | None = None
    sessions: dict[str, ModelSession] = field(default_factory=dict)
    revoked: dict[str, int] = field(default_factory=dict)

    @property
    def is_deleted(self) -> bool:
        return self.deleted_ms is not None

    @property
    def open_session(self) -> ModelSession | None:
        return next((session for session in self.sessions.values() if session.value.end_ms is None), None)


@dataclass
class BookModel:
    """All of a book. Dictionaries are in order of creation."""

    stages: dict[str, ModelStage] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    replicas: dict[tuple[str, str, str, str, str], Replica] = field(default_factory=dict)
    revoked_connections: dict[tuple[str, str], int] = field(default_factory=dict)
    recordings: dict[str, PutRecording] = field(default_factory=dict)
    """The last state of each recording that is open, by its id."""
    last_sequence: int = 0
    sequence_slot: int = 0
    sequence_slots: int = 1
    """The writer assigns the sequence numbers whose remainder, divided by `sequence_slots`, is `sequence_slot`."""

    def after(self, changes: list[Change]) -> tuple["BookModel", tuple[int, ...]]:
        """The book after a transaction and the sequence numbers of its events. Raises ContradictionError."""
        model = deepcopy(self)
        sequences = [model._apply(change) for change in changes]
        return model, tuple(sequence for sequence in sequences if sequence is not None)

    def without_old(self, before_ms: int) -> "BookModel":
        """The book after a run of retention that keeps what has ended, or was revoked, at `before_ms` or later."""
        model = deepcopy(self)
        model._delete_old_sessions(before_ms)
        for arn, stage in list(model.stages.items()):
            stage.revoked = {one: at_ms for one, at_ms in stage.revoked.items() if at_ms >= before_ms}
            if stage.deleted_ms is not None and stage.deleted_ms < before_ms and not stage.sessions:
                del model.stages[arn]
        model.revoked_connections = {
            one: at_ms for one, at_ms in model.revoked_connections.items() if at_ms >= before_ms
        }
        return model

    def _delete_old_sessions(self, before_ms: int) -> None:
        """Delete the sessions of each stage from the oldest one on, up to the first that must be kept."""
        active = {end for replica in self.active_replicas() for end in replica_ends(replica)}
        active |= {(recording.stage_arn, recording.session_id) for recording in self.recordings.values()}
        for arn, stage in self.stages.items():
            for session_id, session in list(stage.sessions.items()):
                end_ms = session.value.end_ms
                if end_ms is None or end_ms >= before_ms or (arn, session_id) in active:
                    break
                del stage.sessions[session_id]
        self.replicas = {
            key: replica
            for key, replica in self.replicas.items()
            if all(session_id in self.stages[arn].sessions for arn, session_id in replica_ends(replica))
        }

    def stage(self, stage_arn: str) -> ModelStage:
        if stage_arn not in self.stages:
            raise ContradictionError
        return self.stages[stage_arn]

    def session(self, stage_arn: str, session_id: str) -> ModelSession:
        if session_id not in self.stage(stage_arn).sessions:
            raise ContradictionError
        return self.stages[stage_arn].sessions[session_id]

    def open_session(self, stage_arn: str, session_id: str) -> ModelSession:
        session = self.stage(stage_arn).open_session
        if session is None or session.value.session_id != session_id:
            raise ContradictionError
        return session

    def active_replicas(self) -> list[Replica]:
        return [replica for replica in self.replicas.values() if replica.state is ReplicationState.ACTIVE]

    def _apply(self, change: Change) -> int | None:
        match change:
            case PutStage():
                self._put_stage(change.stage)
            case DeleteStage():
                stage = self.stage(change.stage_arn)
                if stage.is_deleted:
                    raise ContradictionError
                stage.deleted_ms = change.at_ms
            case OpenSession():
                stage = self.stage(change.stage_arn)
                if stage.is_deleted or stage.open_session is not None or change.session_id in stage.sessions:
                    raise ContradictionError
                value = StageSession(stage_arn=change.stage_arn, session_id=change.session_id, start_ms=change.start_ms)
                stage.sessions[change.session_id] = ModelSession(value)
            case EndSession():
                session = self.open_session(change.stage_arn, change.session_id)
                session.value = msgspec.structs.replace(session.value, end_ms=change.end_ms)
                self.last_sequence = max(self.last_sequence, change.end_ms << SEQUENCE_TIME_SHIFT)
            case PutParticipant():
                participants = self.open_session(change.stage_arn, change.session_id).participants
                former = participants.get(change.participant.participant_id)
                participants[change.participant.participant_id] = with_recording_of(change.participant, former)
            case AppendEvent():
                return self._append(change)
            case _:
                self._apply_other(change)
        return None

    def _apply_other(self, change: Change) -> None:
        match change:
            case RevokeParticipant():
                stage = self.stage(change.stage_arn)
                if stage.is_deleted:
                    raise ContradictionError
                stage.revoked.setdefault(change.participant_id, change.at_ms)
            case PutResource():
                self.resources[change.resource.arn] = change.resource
            case DeleteResource():
                self.resources.pop(change.arn, None)
            case PutRecording():
                self._put_recording(change)
            case PutReplica(replica=replica):
                source = (replica.source_stage_arn, replica.source_session_id)
                destination = (replica.destination_stage_arn, replica.destination_session_id)
                self.session(*source)
                self.session(*destination)
                self.replicas[(*source, replica.participant_id, *destination)] = replica
            case RevokeConnectionToken():
                self.revoked_connections.setdefault((change.account_id, change.token_id), change.at_ms)
            case _:
                raise AssertionError(change)

    def _put_stage(self, value: Stage) -> None:
        known = self.stages.get(value.arn)
        if known is None:
            self.stages[value.arn] = ModelStage(value)
        elif known.is_deleted:
            raise ContradictionError
        else:
            known.value = msgspec.structs.replace(
                known.value, name=value.name, tags=value.tags, recording=value.recording
            )

    def _put_recording(self, change: PutRecording) -> None:
        participants = self.session(change.stage_arn, change.session_id).participants
        if change.participant_id not in participants:
            raise ContradictionError
        if change.is_shown:
            participants[change.participant_id] = msgspec.structs.replace(
                participants[change.participant_id],
                recording_state=change.state,
                recording_bucket_name=change.bucket_name,
                recording_prefix=change.prefix,
            )
        self.recordings.pop(change.recording_id, None)
        if change.state in OPEN_STATES:
            self.recordings[change.recording_id] = change

    def _append(self, change: AppendEvent) -> int:
        is_recording = change.event.name in RECORDING_EVENT_NAMES
        find = self.session if is_recording else self.open_session
        session = find(change.stage_arn, change.session_id)
        if change.participant_id not in session.participants:
            raise ContradictionError
        first = max(self.last_sequence + 1, change.at_ms << SEQUENCE_TIME_SHIFT)
        self.last_sequence = first + (self.sequence_slot - first) % self.sequence_slots
        session.events.setdefault(change.participant_id, []).append((self.last_sequence, change.event))
        return self.last_sequence


def with_recording_of(participant: ParticipantRecord, former: ParticipantRecord | None) -> ParticipantRecord:
    """The row of a participant with the recording that its former row shows."""
    if former is None:
        return participant
    return msgspec.structs.replace(
        participant,
        recording_state=former.recording_state,
        recording_bucket_name=former.recording_bucket_name,
        recording_prefix=former.recording_prefix,
    )


def replica_ends(replica: Replica) -> list[tuple[str, str]]:
    """The sessions at both ends of a replica, each as its stage's ARN and its id."""
    return [
        (replica.source_stage_arn, replica.source_session_id),
        (replica.destination_stage_arn, replica.destination_session_id),
    ]


def newest_first(items: dict[str, Item]) -> list[Item]:
    """The values of a dictionary, the newest key first."""
    return list(reversed(items.values()))
