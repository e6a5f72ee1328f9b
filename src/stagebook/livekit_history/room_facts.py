"""Observations of the rooms of a LiveKit server: the input of `room_machine`.

A fact comes from a webhook or from a poll. Webhooks can be lost, late, duplicated and out of order. A poll reports the
state at a moment after the poll began.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from stagebook.stage.events import Cause


class ObservedRoom(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A room session: a room between its creation and its end. `created_ms` is LiveKit's time, 0 if it is unknown."""

    name: str
    sid: str
    created_ms: int = 0


class ObservedParticipant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One connection of a participant of a room.

    `attributes` are those of the book; None if only the sid and the identity are known. `joined_ms` is LiveKit's time,
    0 if it is unknown.
    """

    sid: str
    identity: str
    attributes: Mapping[str, str] | None = None
    joined_ms: int = 0
    is_ingress: bool = False


class ParticipantJoined(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant is in a room. `at_ms` is the time of participant_joined; None if the first poll found it."""

    room: ObservedRoom
    participant: ObservedParticipant
    at_ms: int | None


class ParticipantLeft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant has left a room, or its connection was aborted before it was in it."""

    room: ObservedRoom
    participant: ObservedParticipant
    at_ms: int
    cause: Cause
    reason: str
    was_connected: bool


class TrackPublished(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant has published a track."""

    room: ObservedRoom
    participant: ObservedParticipant
    track_sid: str
    at_ms: int


class TrackUnpublished(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant has unpublished a track."""

    room: ObservedRoom
    participant: ObservedParticipant
    track_sid: str
    at_ms: int


class RoomStarted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A room session has begun. It has no participants yet."""

    room: ObservedRoom
    at_ms: int


class RoomFinished(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A room session has ended."""

    room: ObservedRoom
    at_ms: int
    cause: Cause
    reason: str


class PolledParticipant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant in the answer to a poll. `is_active`: its media connection is or was up."""

    participant: ObservedParticipant
    track_sids: frozenset[str]
    is_active: bool


class RoomPolled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All participants of a room, as a poll found them. `began_ms` is the monotonic time at which the poll began."""

    room: ObservedRoom
    participants: Sequence[PolledParticipant]
    began_ms: int


class RoomsListed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All rooms, as a poll found them."""

    rooms: Sequence[ObservedRoom]
    began_ms: int


RoomFact: TypeAlias = (
    ParticipantJoined
    | ParticipantLeft
    | TrackPublished
    | TrackUnpublished
    | RoomStarted
    | RoomFinished
    | RoomPolled
    | RoomsListed
)
