"""The bookkeeping of a LiveKit engine with a recorded listener, for tests of what notes facts in it."""

from livekit.protocol.models import DisconnectReason, ParticipantInfo, TrackInfo, TrackType

from stagebook.media.livekit.facts.room_connections import RoomConnection
from stagebook.media.livekit.livekit_rooms import LiveKitRooms, room_name
from stagebook.media.port import CloseCause, Closed, Connected, MediaFact, SourceMeasured

SOURCE = "source"
ROOM = room_name(SOURCE)


class RecordedRooms:
    """Rooms with one source, `SOURCE`, and what they report."""

    def __init__(self) -> None:
        self.facts: list[MediaFact] = []
        self.removed: list[str] = []
        self.rooms = LiveKitRooms(report=self.facts.append, remove=self._remove)

    def publisher(self, connection_id: str = "publisher", *, source_id: str = SOURCE, now: float = 0.0) -> None:
        """Add a publisher that was answered."""
        self.rooms.open_publisher(connection_id, source_id, now=now)
        self.rooms.note_answered(connection_id)

    def viewer(self, connection_id: str = "viewer", *, now: float = 0.0, has_socket: bool = True) -> None:
        """Add a viewer that was answered."""
        assert self.rooms.open_viewer(connection_id, SOURCE, now=now) is not None
        self.rooms.note_answered(connection_id)
        self.rooms.note_socket(connection_id, is_open=has_socket)

    @property
    def connected(self) -> list[str]:
        """The ids of the reported connections."""
        return [fact.connection_id for fact in self.facts if isinstance(fact, Connected)]

    @property
    def closed(self) -> list[tuple[str, CloseCause]]:
        """The reported ends."""
        return [(fact.connection_id, fact.cause) for fact in self.facts if isinstance(fact, Closed)]

    @property
    def measured(self) -> list[SourceMeasured]:
        """The reported measurements."""
        return [fact for fact in self.facts if isinstance(fact, SourceMeasured)]

    def _remove(self, connection: RoomConnection) -> None:
        self.removed.append(connection.connection_id)


def participant(
    identity: str,
    *,
    state: ParticipantInfo.State = ParticipantInfo.ACTIVE,
    reason: DisconnectReason = DisconnectReason.UNKNOWN_REASON,
) -> ParticipantInfo:
    """Return a participant that publishes H.264 and Opus, as LiveKit describes it."""
    tracks = [
        TrackInfo(sid="TR_a", type=TrackType.AUDIO, mime_type="audio/opus"),
        TrackInfo(sid="TR_v", type=TrackType.VIDEO, mime_type="video/H264", width=640, height=360),
    ]
    return ParticipantInfo(identity=identity, state=state, disconnect_reason=reason, tracks=tracks)
