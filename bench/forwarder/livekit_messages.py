"""The few messages of LiveKit's client protocol that a viewer needs, in protobuf's wire format.

The numbers of the fields are those of livekit_rtc.proto and livekit_models.proto of livekit/protocol 1.50.
"""

import base64
import json
from collections.abc import Iterator

import msgspec

_LENGTH_DELIMITED = 2
_CLIENT_PROTOCOL = 16


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """Tracks of participants in the room: for each participant's identity, the ids of its tracks."""

    tracks: dict[str, list[str]]


class SectionsNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """The server has so many more tracks for the viewer, which is to send its offer."""

    count: int


class ServerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to the viewer's offer."""

    sdp: str


class ServerCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate of the server, as an SDP attribute without "a="."""

    candidate: str


ServerMessage = Published | SectionsNeeded | ServerAnswer | ServerCandidate


def join_parameter() -> str:
    """The query parameter `join_request` of a viewer that subscribes to nothing by itself."""
    client_info = _bytes(2, b"bench") + _number(3, _CLIENT_PROTOCOL)
    join = _bytes(1, client_info) + _bytes(2, b"")
    return base64.urlsafe_b64encode(_bytes(2, join)).decode()


def write_offer_message(sdp: str) -> bytes:
    """The message with the viewer's offer."""
    return _bytes(1, _bytes(1, b"offer") + _bytes(2, sdp.encode()) + _number(3, 1))


def write_subscription(track_ids: list[str]) -> bytes:
    """The message that subscribes to tracks."""
    return _bytes(6, b"".join(_bytes(1, track_id.encode()) for track_id in track_ids) + _number(2, 1))


def write_ping(milliseconds: int) -> bytes:
    """The message that keeps the connection open."""
    return _bytes(16, _number(1, milliseconds))


def read_message(data: bytes) -> ServerMessage | None:
    """A message of the server; None for one of another kind."""
    number, value = next(_fields(data), (0, 0))
    if not isinstance(value, bytes):
        return None
    if number in (1, 5):
        # JoinResponse has the others in field 3, ParticipantUpdate has all in field 1.
        participants = _all(value, 3 if number == 1 else 1)
        return Published(tracks={_text(each, 2): [_text(track, 1) for track in _all(each, 4)] for each in participants})
    if number == 25:
        return SectionsNeeded(count=sum(count for _, count in _fields(value) if isinstance(count, int)))
    if number == 2:
        return ServerAnswer(sdp=_text(value, 2))
    if number == 4:
        candidate: str = json.loads(_text(value, 1) or "{}").get("candidate", "")
        return ServerCandidate(candidate=candidate) if candidate else None
    return None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        value, position = _varint(data, position)
        if key & 7 == _LENGTH_DELIMITED:
            yield key >> 3, data[position : position + value]
            position += value
        else:
            yield key >> 3, value


def _all(data: bytes, number: int) -> list[bytes]:
    return [value for field, value in _fields(data) if field == number and isinstance(value, bytes)]


def _text(data: bytes, number: int) -> str:
    return next(iter(_all(data, number)), b"").decode()


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _write_varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _number(number: int, value: int) -> bytes:
    return _write_varint(number << 3) + _write_varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _write_varint(number << 3 | _LENGTH_DELIMITED) + _write_varint(len(value)) + value
