"""The changes that a transaction on the book consists of, and the sequence numbers of events.

A transaction is a list of `Change` values, applied in order. Each change describes what to write, independent of the
store. A change that contradicts the book (for example an event of an unknown participant) makes the store refuse the
whole transaction with `ChangeRefusedError`.

A sequence number is a 64-bit integer, `milliseconds << 20 | counter`, and serves as an event's time, its order and its
position in pages. The store assigns `max(last + 1, now_ms << 20)`, so numbers grow strictly even when the clock goes
back; a million events in one millisecond borrow from the next one.
"""

from typing import TypeAlias

import msgspec

from stagebook.stage.composition.composition import Composition
from stagebook.stage.composition.composition_events import CompositionEvent
from stagebook.stage.events import Event
from stagebook.stage.resources import ParticipantRecord, RecordingState, Replica, Resource, Stage

SEQUENCE_TIME_SHIFT = 20
"""Number of low bits of a sequence number that hold the counter; the bits above hold the milliseconds."""


def sequence_time_ms(sequence: int) -> int:
    """Return the time of the event with this sequence number, in milliseconds since the epoch."""
    return sequence >> SEQUENCE_TIME_SHIFT


class PutStage(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Create a stage, or replace the name, tags and recording of an existing one.

    `stage.active_session_id` is derived from the open session and ignored here. A deleted stage cannot be put again.
    """

    stage: Stage


class DeleteStage(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Mark a stage as deleted. No new session can be opened on it.

    Its sessions and events stay in the book until they are deleted by age (`Book.delete_old`).
    """

    stage_arn: str
    at_ms: int


class OpenSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Open a session. The stage must exist, must not be deleted, and must not have an open session."""

    stage_arn: str
    session_id: str
    start_ms: int


class EndSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """End the open session of a stage."""

    stage_arn: str
    session_id: str
    end_ms: int


class PutParticipant(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Create or replace a participant of an open session. A replaced participant keeps its position in lists."""

    stage_arn: str
    session_id: str
    participant: ParticipantRecord


class PutRecording(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Write the state of a recording, also in an ended session: uploads can outlast the session.

    A recording that is STARTING, ACTIVE or STOPPING is open until it is put as STOPPED or FAILED. `is_started` says
    whether RECORDING_STARTED is recorded. With `is_shown` the row of the participant shows this recording; without, it
    keeps what it shows, because the participant has a newer one.
    """

    stage_arn: str
    session_id: str
    participant_id: str
    recording_id: str
    state: RecordingState
    bucket_name: str
    prefix: str
    is_started: bool = False
    is_shown: bool = True


class AppendEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Append one event of a participant.

    The session must be open, unless the event is one of RECORDING_EVENT_NAMES. The participant must be in it: put by an
    earlier transaction, or earlier in this one. `at_ms` must be from 0 up to the largest time that fits a sequence
    number (in the year 2248).
    """

    stage_arn: str
    session_id: str
    participant_id: str
    event: Event
    at_ms: int


class RevokeParticipant(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Record that this participant id may not join this stage again (DisconnectParticipant).

    The stage must not be deleted.
    """

    stage_arn: str
    participant_id: str
    at_ms: int
    reason: str


class PutResource(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Create or replace a standalone resource: a public key or an ingest, encoder or storage configuration."""

    resource: Resource


class DeleteResource(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Delete a standalone resource. An unknown ARN is not an error."""

    arn: str


class PutReplica(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Create a replica, or change its state. The book must know its source and destination sessions, open or ended."""

    replica: Replica


class RevokeConnectionToken(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Record that this connection token of the account was revoked at `at_ms`.

    With `<stage id>/<participant id>` as `token_id`, the participant is refused without a connection token.
    """

    account_id: str
    token_id: str
    at_ms: int


class PutComposition(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Create a composition, or replace its state, tags and destinations. The book must know its stage."""

    composition: Composition


class AppendCompositionEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Append one event of a composition, which an earlier transaction or this one has put.

    `at_ms` is as in AppendEvent.
    """

    composition_arn: str
    event: CompositionEvent
    at_ms: int


Change: TypeAlias = (
    PutStage
    | DeleteStage
    | OpenSession
    | EndSession
    | PutParticipant
    | PutRecording
    | AppendEvent
    | RevokeParticipant
    | PutResource
    | DeleteResource
    | PutReplica
    | RevokeConnectionToken
    | PutComposition
    | AppendCompositionEvent
)
