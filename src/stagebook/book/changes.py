"""The changes that a transaction on the book is made of, and what a sequence number means.

A transaction is a list of `Change` values. They are plain values: they say what to write, not how it is stored.
"""

from typing import TypeAlias

import msgspec

from stagebook.stage.events import Event
from stagebook.stage.resources import ParticipantRecord, Replica, Resource, Stage

SEQUENCE_TIME_SHIFT = 20
"""A sequence number is `milliseconds << 20 | counter`: an event's time, order and page position in one integer."""


def sequence_time_ms(sequence: int) -> int:
    """Return the time of the event with this sequence number, in milliseconds since the epoch."""
    return sequence >> SEQUENCE_TIME_SHIFT


class PutStage(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Create or replace a stage (its name, tags and recording; `active_session_id` is derived and ignored)."""

    stage: Stage


class DeleteStage(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Mark a stage as deleted. Its sessions and events stay in the book."""

    stage_arn: str
    at_ms: int


class OpenSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Open a session; the stage must exist and have no open one."""

    stage_arn: str
    session_id: str
    start_ms: int


class EndSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Close an open session."""

    stage_arn: str
    session_id: str
    end_ms: int


class PutParticipant(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Create or replace a participant of an open session."""

    stage_arn: str
    session_id: str
    participant: ParticipantRecord


class AppendEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Append one event of a participant that is in the session (put before it, or in the same transaction)."""

    stage_arn: str
    session_id: str
    participant_id: str
    event: Event
    at_ms: int


class RevokeParticipant(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Refuse every later join of this participant id on this stage (DisconnectParticipant)."""

    stage_arn: str
    participant_id: str
    at_ms: int
    reason: str


class PutResource(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Create or replace a resource that stands beside stages."""

    resource: Resource


class DeleteResource(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Delete such a resource; unknown ARNs are fine."""

    arn: str


class PutReplica(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Create a replication's row, or change its state. Both sessions must be known to the book."""

    replica: Replica


class RevokeConnectionToken(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Refuse every later use of this connection token in this account; `at_ms` tells when it was revoked."""

    account_id: str
    token_id: str
    at_ms: int


Change: TypeAlias = (
    PutStage
    | DeleteStage
    | OpenSession
    | EndSession
    | PutParticipant
    | AppendEvent
    | RevokeParticipant
    | PutResource
    | DeleteResource
    | PutReplica
    | RevokeConnectionToken
)
