"""The client of LiveKit's room service: rooms and their participants, over Twirp.

Twirp is one POST for a call, here with protobuf as the body (https://twitchtv.github.io/twirp/docs/spec_v7.html). Any
node answers for any room: it asks the room's node through Redis.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import httpx
import msgspec
from google.protobuf.message import DecodeError, Message
from livekit.protocol import models, room

from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.livekit_http import LiveKitAnswer, LiveKitCallError, call_livekit

CALL_TIMEOUT_SECONDS: Final = 5.0
"""A call about a room of a dead node is answered after 3 s, by 503."""
MAX_ANSWER_SIZE_BYTES: Final = 16 * 2**20
"""A participant takes about 1 KB in a list."""

_PROTOBUF: Final = "application/protobuf"

_Answer = TypeVar("_Answer", bound=Message)


class RoomServiceError(Exception):
    """LiveKit did not answer, or refused the call.

    `code` is Twirp's error code, empty if there is none. `is_answered` tells whether there was an answer, of LiveKit
    or of a proxy.
    """

    def __init__(self, detail: str, *, code: str = "", is_answered: bool = True) -> None:
        super().__init__(detail)
        self.code = code
        self.is_answered = is_answered


class _TwirpError(msgspec.Struct, frozen=True, kw_only=True):
    code: str = ""
    msg: str = ""


class RoomService:
    """Calls of one LiveKit deployment. Every call raises RoomServiceError."""

    def __init__(self, client: httpx.AsyncClient, *, url: str, access: LiveKitAccess) -> None:
        """`url` is the deployment's HTTP URL, without a slash at the end. The caller closes `client`."""
        self._client = client
        self._url = url
        self._access = access

    async def create_room(self, name: str, *, empty_timeout_seconds: int, metadata: str = "") -> models.Room:
        """Return the room with this name, which is created if there is none.

        LiveKit ends it when nobody has been in it for `empty_timeout_seconds`.
        """
        request = room.CreateRoomRequest(
            name=name,
            empty_timeout=empty_timeout_seconds,
            departure_timeout=empty_timeout_seconds,
            metadata=metadata,
        )
        return await self._call("CreateRoom", request, models.Room(), of_room=name)

    async def delete_room(self, name: str) -> None:
        """Delete a room with all its connections. Does nothing if it is unknown."""
        await self._call_if_there("DeleteRoom", room.DeleteRoomRequest(room=name), room.DeleteRoomResponse(), name)

    async def list_rooms(self, names: Sequence[str] = ()) -> list[models.Room]:
        """Return the rooms with these names; without names, all of them."""
        answer = await self._call("ListRooms", room.ListRoomsRequest(names=names), room.ListRoomsResponse(), of_room="")
        return list(answer.rooms)

    async def list_participants(self, name: str) -> list[models.ParticipantInfo]:
        """Return the participants of a room, also the hidden ones. An unknown room has none."""
        request = room.ListParticipantsRequest(room=name)
        answer = await self._call_if_there("ListParticipants", request, room.ListParticipantsResponse(), name)
        return [] if answer is None else list(answer.participants)

    async def get_participant(self, name: str, identity: str) -> models.ParticipantInfo | None:
        """Return a participant of a room, or None."""
        request = room.RoomParticipantIdentity(room=name, identity=identity)
        return await self._call_if_there("GetParticipant", request, models.ParticipantInfo(), name)

    async def remove_participant(self, name: str, identity: str) -> None:
        """Remove a participant. Does nothing if it is unknown."""
        request = room.RoomParticipantIdentity(room=name, identity=identity)
        await self._call_if_there("RemoveParticipant", request, room.RemoveParticipantResponse(), name)

    async def _call_if_there(self, method: str, request: Message, answer: _Answer, of_room: str) -> _Answer | None:
        """Make a call; return None if LiveKit answers that the room or participant does not exist."""
        try:
            return await self._call(method, request, answer, of_room=of_room)
        except RoomServiceError as error:
            if error.code == "not_found":
                return None
            raise

    async def _call(self, method: str, request: Message, answer: _Answer, *, of_room: str) -> _Answer:
        headers = {
            "Content-Type": _PROTOBUF,
            "Authorization": f"Bearer {self._access.service_token(room=of_room)}",
        }
        try:
            response = await call_livekit(
                self._client,
                "POST",
                f"{self._url}/twirp/livekit.RoomService/{method}",
                content=request.SerializeToString(),
                headers=headers,
                timeout_seconds=CALL_TIMEOUT_SECONDS,
                max_size_bytes=MAX_ANSWER_SIZE_BYTES,
            )
        except LiveKitCallError as error:
            raise RoomServiceError(f"{method}: {error}", is_answered=error.is_answered) from error
        if response.status != httpx.codes.OK:
            raise _refusal(method, response)
        # A page of a proxy can be read as protobuf, even an empty one: it would say that nothing is there.
        if response.headers.get("Content-Type", "") != _PROTOBUF:
            raise RoomServiceError(f"the answer to {method} is not LiveKit's: it is no {_PROTOBUF}")
        try:
            answer.ParseFromString(response.body)
        except DecodeError as error:
            raise RoomServiceError(f"LiveKit's answer to {method} is not protobuf") from error
        return answer


def _refusal(method: str, response: LiveKitAnswer) -> RoomServiceError:
    try:
        refused = msgspec.json.decode(response.body, type=_TwirpError)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        refused = _TwirpError(msg=f"HTTP status {response.status}")
    return RoomServiceError(f"LiveKit refused {method}: {refused.msg[:200]}", code=refused.code)
