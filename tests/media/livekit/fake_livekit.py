"""A LiveKit of one process without media: its room service, WHIP endpoint and signalling, as the engine uses them.

Answers and messages are those of the recordings of a real server. Tokens are checked. A test says which participants
are connected, and which requests are refused or not answered.
"""

import asyncio
import base64
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import jwt
import uvicorn
from google.protobuf.message import Message
from livekit.protocol import models, room, rtc

from stagebook.api.asgi import Receive, Scope, Send
from stagebook.media.livekit.livekit_access import LiveKitKey
from tests.media.livekit.recorded_messages import PUBLISHER_ID, kinds, recorded

KEY: Final = LiveKitKey(key="test", secret="the secret of the fake LiveKit of the tests")
WHIP_ANSWER: Final = recorded("simulcast_publisher")[3].answer.sdp.replace("a=simulcast:recv q;h;f\r\n", "")
RESTART_FRAGMENT: Final = "a=ice-ufrag:restarted\r\na=ice-pwd:0123456789012345678901\r\n"


class FakeLiveKit:
    """The state of the deployment, and an ASGI application."""

    def __init__(self) -> None:
        self.url = ""
        self.version = "1.13.5"
        self.rooms: dict[str, models.Room] = {}
        self.participants: dict[tuple[str, str], models.ParticipantInfo] = {}
        """By room and identity."""
        self.requests: list[str] = []
        """The methods of the room service and the WHIP requests, in their order."""
        self.received: dict[str, list[rtc.SignalRequest]] = {}
        """What each identity has sent on its websockets."""
        self.whip_status = 201
        self.whip_held: asyncio.Event | None = None
        """What WHIP offers wait for, after they were read."""
        self.whip_waiting = 0
        self.signal_status = 101
        """That of the answers to handshakes of signalling."""
        self.is_silent = False
        """Whether signalling is not answered."""
        self.forgets = False
        """Whether the room service finds no participant to remove."""
        self.failures = 0
        """How many of the next calls of the room service fail."""
        self._sockets: dict[str, Send] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._signal(scope, receive, send)
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        if scope["path"] == "/whip/v1" and self.whip_held is not None:
            self.whip_waiting += 1
            await self.whip_held.wait()
        status, headers, answer = self._respond(scope, body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    # What tests do

    def connect(self, room_name: str, identity: str) -> None:
        """Let the media of a participant connect."""
        self.participants[room_name, identity].state = models.ParticipantInfo.State.ACTIVE

    async def drop_socket(self, identity: str) -> None:
        """Close a participant's websocket without a word."""
        await self._sockets.pop(identity)({"type": "websocket.close", "code": 1011})

    async def tell(self, identity: str, message: rtc.SignalResponse) -> None:
        """Send a message on a participant's websocket."""
        await self._sockets[identity]({"type": "websocket.send", "bytes": message.SerializeToString()})

    # The room service and WHIP

    def _respond(self, scope: Scope, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        grants = self._grants(scope)
        if grants is None:
            return 401, [], b"no token"
        path: str = scope["path"]
        if path.startswith("/whip/v1"):
            return self._whip(scope, grants)
        method = path.rpartition("/")[2]
        self.requests.append(method)
        if self.failures:
            self.failures -= 1
            return 503, [], b'{"code":"unavailable","msg":"no node"}'
        answer = getattr(self, f"_on_{method}")(body)
        if answer is None:
            return 404, [], b'{"code":"not_found","msg":"there is none"}'
        return 200, [(b"content-type", b"application/protobuf")], answer.SerializeToString()

    def _whip(self, scope: Scope, grants: dict[str, Any]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        self.requests.append(f"{scope['method']} WHIP")
        if scope["method"] == "DELETE":
            key = grants["video"]["room"], grants["sub"]
            if key not in self.participants:
                return 404, [], b"no session"
            self._end(*key, models.DisconnectReason.CLIENT_INITIATED)
            return 200, [], b""
        if scope["method"] == "PATCH":
            if dict(scope["headers"])[b"if-match"] == b"*":
                return 200, [(b"etag", b"second")], RESTART_FRAGMENT.encode()
            return 204, [], b""
        if self.whip_status != 201:
            return self.whip_status, [], b"refused"
        assert grants["video"]["canPublish"]
        self._add(grants)
        return 201, [(b"location", b"/whip/v1/session"), (b"etag", b"first")], WHIP_ANSWER.encode()

    def _on_CreateRoom(self, body: bytes) -> Message:  # noqa: N802 - the method of the room service
        request = room.CreateRoomRequest.FromString(body)
        made = models.Room(name=request.name, metadata=request.metadata)
        return self.rooms.setdefault(request.name, made)

    def _on_ListRooms(self, _body: bytes) -> Message:  # noqa: N802
        return room.ListRoomsResponse(rooms=self.rooms.values())

    def _on_DeleteRoom(self, body: bytes) -> Message | None:  # noqa: N802
        name = room.DeleteRoomRequest.FromString(body).room
        for key in [key for key in self.participants if key[0] == name]:
            self._end(*key, models.DisconnectReason.ROOM_DELETED)
        return None if self.rooms.pop(name, None) is None else room.DeleteRoomResponse()

    def _on_GetParticipant(self, body: bytes) -> Message | None:  # noqa: N802
        request = room.RoomParticipantIdentity.FromString(body)
        return self.participants.get((request.room, request.identity))

    def _on_RemoveParticipant(self, body: bytes) -> Message | None:  # noqa: N802
        request = room.RoomParticipantIdentity.FromString(body)
        if (request.room, request.identity) not in self.participants or self.forgets:
            return None
        self._end(request.room, request.identity, models.DisconnectReason.PARTICIPANT_REMOVED)
        return room.RemoveParticipantResponse()

    def _end(self, room_name: str, identity: str, reason: models.DisconnectReason) -> None:
        del self.participants[room_name, identity]
        if identity in self._sockets:
            leave = rtc.SignalResponse(leave=rtc.LeaveRequest(reason=reason))
            asyncio.get_running_loop().create_task(self.tell(identity, leave))

    # Signalling

    async def _signal(self, scope: Scope, receive: Receive, send: Send) -> None:
        grants = self._grants(scope)
        await receive()
        if self.signal_status != 101:
            await send({"type": "websocket.http.response.start", "status": self.signal_status, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"dial tcp 192.0.2.1:6379: refused"})
            return
        if grants is None:
            await send({"type": "websocket.close", "code": 1008})
            return
        identity = grants["sub"]
        await send({"type": "websocket.accept"})
        self._sockets[identity] = send
        wrapped = rtc.WrappedJoinRequest.FromString(
            base64.urlsafe_b64decode(scope["query_string"].partition(b"join_request=")[2].replace(b"%3D", b"="))
        )
        join = rtc.JoinRequest.FromString(gzip.decompress(wrapped.join_request))
        received = self.received.setdefault(identity, [])
        if not self.is_silent:
            if join.reconnect:
                await self.tell(identity, rtc.SignalResponse(reconnect=rtc.ReconnectResponse()))
            else:
                await self._join(grants, join)
        while (event := await receive())["type"] == "websocket.receive":
            request = rtc.SignalRequest.FromString(event["bytes"])
            received.append(request)
            if not self.is_silent:
                await self._answer(identity, request)

    async def _join(self, grants: dict[str, Any], join: rtc.JoinRequest) -> None:
        identity, name = grants["sub"], grants["video"]["room"]
        is_publisher = join.HasField("publisher_offer")
        messages = recorded("simulcast_publisher" if is_publisher else "viewer")
        joined = messages[0]
        joined.join.server_info.version = self.version
        publishers = [key[1] for key in self.participants if key[0] == name]
        for known in joined.join.other_participants:
            if known.identity == PUBLISHER_ID and publishers:
                known.identity = publishers[0]
        self._add(grants)
        await self.tell(identity, joined)
        if is_publisher:
            for message in messages[1:6]:
                await self.tell(identity, message)

    async def _answer(self, identity: str, request: rtc.SignalRequest) -> None:
        """Answer as the recording of a viewer does: the second answer of it is that of a restart."""
        messages = recorded("viewer")
        answers = [index for index, kind in enumerate(kinds(messages)) if kind == "answer"]
        match request.WhichOneof("message"):
            case "subscription":
                await self.tell(identity, messages[3])
            case "offer":
                first = answers[0 if request.offer.id == 1 else 1]
                for message in messages[first : first + 3]:
                    await self.tell(identity, message)
            case "leave":
                room_name = next((key[0] for key in self.participants if key[1] == identity), "")
                self.participants.pop((room_name, identity), None)
            case "ping_req":
                await self.tell(identity, rtc.SignalResponse(pong_resp=rtc.Pong()))

    def _add(self, grants: dict[str, Any]) -> None:
        name, identity = grants["video"]["room"], grants["sub"]
        self.rooms.setdefault(name, models.Room(name=name))
        self.participants[name, identity] = models.ParticipantInfo(identity=identity)

    def _grants(self, scope: Scope) -> dict[str, Any] | None:
        header = dict(scope["headers"]).get(b"authorization", b"").decode()
        try:
            grants: dict[str, Any] = jwt.decode(header.removeprefix("Bearer "), KEY.secret, algorithms=["HS256"])
        except jwt.PyJWTError:
            return None
        return grants


@asynccontextmanager
async def running_fake() -> AsyncIterator[FakeLiveKit]:
    """Run a fake LiveKit on a free port of the loopback interface."""
    fake = FakeLiveKit()
    listening = socket.create_server(("127.0.0.1", 0))
    fake.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        fake,
        lifespan="off",
        log_config=None,
        ws="websockets-sansio",
        ws_ping_interval=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield fake
    finally:
        server.should_exit = True
        await serving
