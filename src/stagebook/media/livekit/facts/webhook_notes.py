"""What LiveKit's webhooks and its list of participants say about the connections of the engine.

Both describe a participant by the same message. Both may be late, doubled, or in another order, so they are only notes
(`livekit_rooms`): the first note of a change counts.
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
    """Note what a webhook tells. Events of rooms and participants of others are ignored."""
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
    """Note what a poll tells of a participant that exists."""
    if participant.state == ParticipantInfo.DISCONNECTED:
        rooms.note_ended(participant.identity, close_cause(participant.disconnect_reason))
        return
    if participant.state == ParticipantInfo.ACTIVE:
        rooms.note_connected(participant.identity)
    if participant.tracks:
        rooms.note_tracks(participant.identity, track_facts(participant.tracks))


def track_facts(tracks: Sequence[TrackInfo]) -> TrackFacts:
    """Return what messages of LiveKit tell of a publisher's tracks: the first audio and the first video track."""
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
