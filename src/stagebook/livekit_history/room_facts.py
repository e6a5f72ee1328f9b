"""What was observed of the rooms of a LiveKit server: the input of `room_machine`.

A fact comes from a webhook or from a poll. Webhooks can be lost, late, doubled and out of order; a poll says what was
so at some moment after it began.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from stagebook.stage.events import Cause


class ObservedRoom(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One life of a room. `created_ms` is LiveKit's time, 0 if it was not told."""

    name: str
    sid: str
    created_ms: int = 0


class ObservedPerson(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One connection of a participant of a room.

    `attributes` are those of the book; None if only the sid and the identity were told. `joined_ms` is LiveKit's time,
    0 if it was not told.
    """

    sid: str
    identity: str
    attributes: Mapping[str, str] | None = None
    joined_ms: int = 0
    is_ingress: bool = False


class Arrived(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant is in a room: participant_joined told it at `at_ms`, or the first poll found it (None)."""

    room: ObservedRoom
    person: ObservedPerson
    at_ms: int | None


class Departed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant has left a room, or its connection was aborted before it was in it."""

    room: ObservedRoom
    person: ObservedPerson
    at_ms: int
    cause: Cause
    reason: str
    was_connected: bool


class TrackStarted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant has published a track."""

    room: ObservedRoom
    person: ObservedPerson
    track_sid: str
    at_ms: int


class TrackStopped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant has unpublished a track."""

    room: ObservedRoom
    person: ObservedPerson
    track_sid: str
    at_ms: int


class RoomStarted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A life of a room has begun. Nobody is in it yet."""

    room: ObservedRoom
    at_ms: int


class RoomFinished(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A life of a room has ended."""

    room: ObservedRoom
    at_ms: int
    cause: Cause
    reason: str


class PolledPerson(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant in the answer to a poll. `is_active`: its media connection is or was up."""

    person: ObservedPerson
    track_sids: frozenset[str]
    is_active: bool


class RoomPolled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All participants of a room, as a poll found them. `began_ms` is the monotonic time at which the poll began."""

    room: ObservedRoom
    people: Sequence[PolledPerson]
    began_ms: int


class RoomsListed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All rooms, as a poll found them."""

    rooms: Sequence[ObservedRoom]
    began_ms: int


RoomFact: TypeAlias = (
    Arrived | Departed | TrackStarted | TrackStopped | RoomStarted | RoomFinished | RoomPolled | RoomsListed
)
