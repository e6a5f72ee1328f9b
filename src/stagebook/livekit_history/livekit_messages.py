"""Conversion of LiveKit's webhooks and room service responses to facts (livekit/protocol, livekit_*.proto).

Egress and other recorders are processes of the operator, and are left out. All others are participants, including
agents, SIP participants, ingress and hidden participants. The attributes say which kind a participant is.

Rooms of a Stagebook whose media engine is this LiveKit are left out: that Stagebook's book has their history.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from livekit.protocol import models
from livekit.protocol.webhook import WebhookEvent

from stagebook.livekit_history.room_facts import (
    ObservedParticipant,
    ObservedRoom,
    ParticipantJoined,
    ParticipantLeft,
    PolledParticipant,
    RoomFact,
    RoomFinished,
    RoomsListed,
    RoomStarted,
    TrackPublished,
    TrackUnpublished,
)
from stagebook.media.livekit.livekit_rooms import is_engine_room
from stagebook.stage.events import Cause

MAX_ATTRIBUTES_SIZE_BYTES: Final = 1_024
"""Keys and values of a participant's attributes (API reference, CreateParticipantToken)."""
LATEST_MS: Final = 2**42
"""The year 2109. A later time is invalid and counts as unknown."""

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
"""The cause of LEFT by LiveKit's DisconnectReason. All others have the cause PEER_LOST."""


def webhook_fact(event: WebhookEvent, *, now_ms: int) -> RoomFact | None:
    """Return the fact of a webhook; None for an event that is not recorded. `now_ms` is the current wall time.

    `created_at` has whole seconds, rounded down. The fact has the last millisecond of that second, at most `now_ms`.
    """
    if not event.room.sid or not event.room.name or is_engine_room(event.room.name):
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
    info = event.participant
    if event.event == "participant_joined":
        return ParticipantJoined(room=room, participant=_participant(info), at_ms=at_ms)
    if event.event in {"participant_left", "participant_connection_aborted"}:
        reason = _reason(info)
        return ParticipantLeft(
            room=room,
            participant=_participant(info),
            at_ms=at_ms,
            cause=_CAUSES.get(reason, Cause.PEER_LOST),
            reason=reason,
            was_connected=event.event == "participant_left",
        )
    # Webhooks of tracks have only the sid and the identity of the participant.
    participant = ObservedParticipant(sid=info.sid, identity=_text(info.identity))
    if event.event == "track_published":
        return TrackPublished(room=room, participant=participant, track_sid=event.track.sid, at_ms=at_ms)
    if event.event == "track_unpublished":
        return TrackUnpublished(room=room, participant=participant, track_sid=event.track.sid, at_ms=at_ms)
    return None


def rooms_listed(rooms: Iterable[models.Room], *, began_ms: int) -> RoomsListed:
    """Return the rooms in a response of ListRooms. `began_ms` is the monotonic time at which the call began."""
    watched = [_room(room) for room in rooms if room.sid and room.name and not is_engine_room(room.name)]
    return RoomsListed(rooms=watched, began_ms=began_ms)


def polled_participants(answer: Iterable[models.ParticipantInfo]) -> list[PolledParticipant]:
    """Return the participants in a response of ListParticipants, without those that have left and without recorders."""
    return [
        PolledParticipant(
            participant=_participant(info),
            track_sids=frozenset(track.sid for track in info.tracks),
            is_active=info.state == models.ParticipantInfo.State.ACTIVE,
        )
        for info in answer
        if info.sid and info.state != models.ParticipantInfo.State.DISCONNECTED and not _is_recorder(info)
    ]


def _room(info: models.Room) -> ObservedRoom:
    created_ms = info.creation_time_ms or info.creation_time * 1_000
    return ObservedRoom(name=info.name, sid=info.sid, created_ms=_time(created_ms))


def _participant(info: models.ParticipantInfo) -> ObservedParticipant:
    return ObservedParticipant(
        sid=info.sid,
        identity=_text(info.identity),
        attributes=_attributes(info),
        joined_ms=_time(info.joined_at_ms or info.joined_at * 1_000),
        is_ingress=info.kind == models.ParticipantInfo.Kind.INGRESS,
    )


def _attributes(info: models.ParticipantInfo) -> dict[str, str]:
    """Return the attributes for the book: name and kind, LiveKit's attributes, the metadata, up to the size limit."""
    wanted: dict[str, str] = {}
    if info.name:
        wanted["livekit.name"] = info.name
    if info.kind != models.ParticipantInfo.Kind.STANDARD:
        wanted["livekit.kind"] = _kind(info)
    if info.permission.hidden:
        wanted["livekit.hidden"] = "true"
    wanted |= {key: info.attributes[key] for key in sorted(info.attributes)}
    if info.metadata:
        wanted["livekit.metadata"] = info.metadata
    kept: dict[str, str] = {}
    left_bytes = MAX_ATTRIBUTES_SIZE_BYTES
    for key, value in wanted.items():
        size_bytes = len(key.encode()) + len(value.encode())
        if size_bytes <= left_bytes:
            kept[_text(key)] = _text(value)
            left_bytes -= size_bytes
    return kept


def _kind(info: models.ParticipantInfo) -> str:
    names = {number: name for name, number in models.ParticipantInfo.Kind.items()}
    return names.get(info.kind, str(info.kind))


def _reason(info: models.ParticipantInfo) -> str:
    names = {number: name for name, number in models.DisconnectReason.items()}
    return names.get(info.disconnect_reason, str(info.disconnect_reason))


def _is_recorder(info: models.ParticipantInfo) -> bool:
    return info.kind == models.ParticipantInfo.Kind.EGRESS or info.permission.recorder


def _time(milliseconds: int) -> int:
    return milliseconds if 0 < milliseconds < LATEST_MS else 0


def _text(value: str) -> str:
    """Return a text without NUL characters, which end a text in SQLite."""
    return value.replace("\0", "")
