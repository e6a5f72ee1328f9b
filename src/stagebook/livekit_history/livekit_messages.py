"""LiveKit's messages as facts: webhooks, and the answers of its room service (livekit/protocol, livekit_*.proto).

Egress and other recorders are processes of the operator and take part in nothing, so they are left out. Everybody else
is a participant, also agents, telephones, ingress and those whom the others do not see: the attributes say which.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from livekit.protocol import models
from livekit.protocol.webhook import WebhookEvent

from stagebook.livekit_history.room_facts import (
    Arrived,
    Departed,
    ObservedPerson,
    ObservedRoom,
    PolledPerson,
    RoomFact,
    RoomFinished,
    RoomsListed,
    RoomStarted,
    TrackStarted,
    TrackStopped,
)
from stagebook.stage.events import Cause

MAX_ATTRIBUTES_SIZE_BYTES: Final = 1_024
"""Keys and values of a participant's attributes (API reference, CreateParticipantToken)."""
LATEST_MS: Final = 2**42
"""The year 2109. Later times are no times."""

_CAUSES: Final[Mapping[str, Cause]] = {
    "CLIENT_INITIATED": Cause.CLIENT,
    "DUPLICATE_IDENTITY": Cause.CLIENT,
    "SERVER_SHUTDOWN": Cause.SHUTDOWN,
    "PARTICIPANT_REMOVED": Cause.DISCONNECTED_BY_API,
    "ROOM_DELETED": Cause.DISCONNECTED_BY_API,
    "JOIN_FAILURE": Cause.NEVER_CONNECTED,
    "ROOM_CLOSED": Cause.CLIENT,
    "USER_UNAVAILABLE": Cause.CLIENT,
    "USER_REJECTED": Cause.CLIENT,
}
"""The cause of LEFT by LiveKit's DisconnectReason. The others are those of a lost connection."""


def webhook_fact(event: WebhookEvent, *, now_ms: int) -> RoomFact | None:
    """Return what a webhook tells, None if it is about something else. `now_ms` is the present wall time.

    `created_at` has whole seconds, cut off. The event is taken for as late as that second and the present allow.
    """
    if not event.room.sid or not event.room.name:
        return None
    room = _room(event.room)
    at_ms = min(now_ms, event.created_at * 1_000 + 999) if 0 < event.created_at < LATEST_MS // 1_000 else now_ms
    if event.event == "room_started":
        return RoomStarted(room=room, at_ms=at_ms)
    if event.event == "room_finished":
        return RoomFinished(room=room, at_ms=at_ms, cause=Cause.CLIENT, reason="the room has ended")
    if not event.participant.sid or _is_recorder(event.participant):
        return None
    return _participant_fact(event, room, at_ms)


def _participant_fact(event: WebhookEvent, room: ObservedRoom, at_ms: int) -> RoomFact | None:
    told = event.participant
    if event.event == "participant_joined":
        return Arrived(room=room, person=_person(told), at_ms=at_ms)
    if event.event in {"participant_left", "participant_connection_aborted"}:
        reason = _reason(told)
        return Departed(
            room=room,
            person=_person(told),
            at_ms=at_ms,
            cause=_CAUSES.get(reason, Cause.PEER_LOST),
            reason=reason,
            was_connected=event.event == "participant_left",
        )
    # These two name the participant by its sid and its identity alone.
    person = ObservedPerson(sid=told.sid, identity=told.identity)
    if event.event == "track_published":
        return TrackStarted(room=room, person=person, track_sid=event.track.sid, at_ms=at_ms)
    if event.event == "track_unpublished":
        return TrackStopped(room=room, person=person, track_sid=event.track.sid, at_ms=at_ms)
    return None


def rooms_listed(rooms: Iterable[models.Room], *, began_ms: int) -> RoomsListed:
    """Return what ListRooms tells. `began_ms` is the monotonic time at which the call began."""
    return RoomsListed(rooms=[_room(room) for room in rooms if room.sid and room.name], began_ms=began_ms)


def polled_people(answer: Iterable[models.ParticipantInfo]) -> list[PolledPerson]:
    """Return what ListParticipants tells, without those who have left and without recorders."""
    return [
        PolledPerson(
            person=_person(told),
            track_sids=frozenset(track.sid for track in told.tracks),
            is_active=told.state == models.ParticipantInfo.State.ACTIVE,
        )
        for told in answer
        if told.sid and told.state != models.ParticipantInfo.State.DISCONNECTED and not _is_recorder(told)
    ]


def _room(told: models.Room) -> ObservedRoom:
    created_ms = told.creation_time_ms or told.creation_time * 1_000
    return ObservedRoom(name=told.name, sid=told.sid, created_ms=_time(created_ms))


def _person(told: models.ParticipantInfo) -> ObservedPerson:
    return ObservedPerson(
        sid=told.sid,
        identity=_text(told.identity),
        attributes=_attributes(told),
        joined_ms=_time(told.joined_at_ms or told.joined_at * 1_000),
        is_ingress=told.kind == models.ParticipantInfo.Kind.INGRESS,
    )


def _attributes(told: models.ParticipantInfo) -> dict[str, str]:
    """Return the attributes for the book: who it is, LiveKit's own attributes, the metadata, as far as they fit."""
    wanted: dict[str, str] = {}
    if told.name:
        wanted["livekit.name"] = told.name
    if told.kind != models.ParticipantInfo.Kind.STANDARD:
        wanted["livekit.kind"] = _kind(told)
    if told.permission.hidden:
        wanted["livekit.hidden"] = "true"
    wanted |= {key: told.attributes[key] for key in sorted(told.attributes)}
    if told.metadata:
        wanted["livekit.metadata"] = told.metadata
    kept: dict[str, str] = {}
    left_bytes = MAX_ATTRIBUTES_SIZE_BYTES
    for key, value in wanted.items():
        size_bytes = len(key.encode()) + len(value.encode())
        if size_bytes <= left_bytes:
            kept[_text(key)] = _text(value)
            left_bytes -= size_bytes
    return kept


def _kind(told: models.ParticipantInfo) -> str:
    names = {number: name for name, number in models.ParticipantInfo.Kind.items()}
    return names.get(told.kind, str(told.kind))


def _reason(told: models.ParticipantInfo) -> str:
    names = {number: name for name, number in models.DisconnectReason.items()}
    return names.get(told.disconnect_reason, str(told.disconnect_reason))


def _is_recorder(told: models.ParticipantInfo) -> bool:
    return told.kind == models.ParticipantInfo.Kind.EGRESS or told.permission.recorder


def _time(milliseconds: int) -> int:
    return milliseconds if 0 < milliseconds < LATEST_MS else 0


def _text(value: str) -> str:
    """Return a text without NUL, which SQLite takes for the end of a text."""
    return value.replace("\0", "")
