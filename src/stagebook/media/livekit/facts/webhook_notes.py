"""Notes about connections of the engine, from LiveKit's webhooks and from polls of participants.

Both have a participant in the same message. Both can be late, duplicated or out of order, so `livekit_rooms` counts
the first note of a change.
"""

from collections.abc import Sequence
from typing import Final

from livekit.protocol.models import ParticipantInfo, TrackInfo, TrackType
from livekit.protocol.webhook import WebhookEvent

from stagebook.media.livekit.disconnect_causes import close_cause
from stagebook.media.livekit.facts.room_connections import TrackFacts
from stagebook.media.livekit.livekit_rooms import LiveKitRooms

_ENDS: Final = frozenset({"participant_left", "participant_connection_aborted"})


def note_event(event: WebhookEvent, rooms: LiveKitRooms) -> None:
    """Note a webhook. Events of other applications' rooms and participants are ignored."""
    connection_id = event.participant.identity
    connection = rooms.find(connection_id)
    if connection is None or connection.room != event.room.name:
        return
    if event.event == "participant_joined":
        rooms.note_connected(connection_id)
    elif event.event in _ENDS:
        rooms.note_ended(connection_id, close_cause(event.participant.disconnect_reason))
    elif event.event == "track_published":
        rooms.note_tracks(connection_id, track_facts([event.track]))


def note_participant(participant: ParticipantInfo, rooms: LiveKitRooms) -> None:
    """Note a participant that a poll has found."""
    if participant.state == ParticipantInfo.DISCONNECTED:
        rooms.note_ended(participant.identity, close_cause(participant.disconnect_reason))
        return
    if participant.state == ParticipantInfo.ACTIVE:
        rooms.note_connected(participant.identity)
    if participant.tracks:
        rooms.note_tracks(participant.identity, track_facts(participant.tracks))


def track_facts(tracks: Sequence[TrackInfo]) -> TrackFacts:
    """Return the facts of a publisher's first audio and first video track."""
    audio = next((track for track in tracks if track.type == TrackType.AUDIO), None)
    video = next((track for track in tracks if track.type == TrackType.VIDEO), None)
    return TrackFacts(
        audio_codec=_codec(audio),
        video_codec=_codec(video),
        width=None if video is None else video.width or None,
        height=None if video is None else video.height or None,
    )


def _codec(track: TrackInfo | None) -> str | None:
    """Return the codec of a track, such as H264 for `video/H264`. It is not known before the track is published."""
    return None if track is None else track.mime_type.rpartition("/")[2].upper() or None
