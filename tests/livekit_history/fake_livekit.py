"""The room service of a LiveKit server whose rooms a test fills, behind the real client."""

import httpx
from google.protobuf.message import Message
from livekit.protocol import models, room
from livekit.protocol.webhook import WebhookEvent

from stagebook.media.livekit.livekit_access import LiveKitAccess, LiveKitKey
from stagebook.media.livekit.room_service import RoomService

KEY = LiveKitKey(key="devkey", secret="the secret of the key of these tests")
ACTIVE = models.ParticipantInfo.State.ACTIVE


class FakeLiveKit:
    """Answers the calls of the history. `rooms` and `participants` are its state, `calls` the calls it has received."""

    def __init__(self) -> None:
        self.rooms: dict[str, models.Room] = {}
        self.participants: dict[str, dict[str, models.ParticipantInfo]] = {}
        self.calls: list[str] = []
        self.is_down = False

    def service(self) -> RoomService:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        return RoomService(client, url="http://livekit", access=LiveKitAccess(KEY, wall_clock=lambda: 1e9))

    def open(self, name: str, sid: str, *, created_ms: int = 1) -> models.Room:
        self.rooms[name] = models.Room(sid=sid, name=name, creation_time_ms=created_ms)
        self.participants[name] = {}
        return self.rooms[name]

    def close(self, name: str) -> None:
        del self.rooms[name], self.participants[name]

    def enter(self, name: str, sid: str, identity: str, *, joined_ms: int = 1, tracks: int = 0) -> WebhookEvent:
        """Let a participant enter a room; return the webhook about it."""
        info = models.ParticipantInfo(sid=sid, identity=identity, state=ACTIVE, joined_at_ms=joined_ms)
        info.tracks.extend(models.TrackInfo(sid=f"TR_{sid}{number}") for number in range(tracks))
        self.participants[name][sid] = info
        return self.webhook("participant_joined", name, info)

    def leave(self, name: str, sid: str, *, reason: int = models.DisconnectReason.CLIENT_INITIATED) -> WebhookEvent:
        """Let a participant leave; return the webhook about it."""
        info = self.participants[name].pop(sid)
        info.disconnect_reason = reason  # type: ignore[assignment]  # a number of the enumeration
        return self.webhook("participant_left", name, info)

    def webhook(self, event: str, name: str, info: models.ParticipantInfo | None = None) -> WebhookEvent:
        return WebhookEvent(event=event, room=self.rooms[name], participant=info, id=f"EV_{len(self.calls)}")

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a call."""
        method = request.url.path.rpartition("/")[2]
        self.calls.append(method)
        if self.is_down:
            return httpx.Response(503, stream=httpx.ByteStream(b""))
        if method == "ListRooms":
            return _protobuf(room.ListRoomsResponse(rooms=list(self.rooms.values())))
        if method == "ListParticipants":
            asked = room.ListParticipantsRequest.FromString(request.content)
            participants = self.participants.get(asked.room, {})
            return _protobuf(room.ListParticipantsResponse(participants=list(participants.values())))
        assert method == "RemoveParticipant"
        removed = room.RoomParticipantIdentity.FromString(request.content)
        participants = self.participants[removed.room]
        for sid in [sid for sid, info in participants.items() if info.identity == removed.identity]:
            del participants[sid]
        return _protobuf(room.RemoveParticipantResponse())


def _protobuf(message: Message) -> httpx.Response:
    # As a stream, which is read as that of a connection is.
    stream = httpx.ByteStream(message.SerializeToString())
    return httpx.Response(200, headers={"Content-Type": "application/protobuf"}, stream=stream)
