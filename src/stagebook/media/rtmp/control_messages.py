"""Protocol control and user control messages (RTMP 1.0 sections 5.4, 6.2, 7.1.7), read and written. Keeps no state."""

from enum import IntEnum

from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.rtmp_limits import RtmpError

_LIMIT_TYPE_DYNAMIC = 2


class UserControl(IntEnum):
    """The user control events that mean something here."""

    STREAM_BEGIN = 0
    PING_REQUEST = 6
    PING_RESPONSE = 7


def read_window(payload: bytes) -> int:
    """The bytes of a Window Acknowledgement Size or a Set Peer Bandwidth; the latter's fifth byte, the
    limit's type, changes nothing here. Raises RtmpError."""
    if len(payload) not in {4, 5}:
        raise RtmpError(f"a window size or a bandwidth has 4 or 5 bytes, not {len(payload)}")
    return int.from_bytes(payload[:4])


def read_ping(payload: bytes) -> bytes | None:
    """The four bytes that a Ping Request wants back; None for every other user control event. Raises RtmpError."""
    if len(payload) < 2:
        raise RtmpError("a user control message has at least 2 bytes")
    if int.from_bytes(payload[:2]) != UserControl.PING_REQUEST:
        return None
    if len(payload) != 6:
        raise RtmpError(f"a ping request has 6 bytes, not {len(payload)}")
    return payload[2:]


def window_acknowledgement_size(size: int) -> Message:
    """How many bytes the peer may receive before it must acknowledge."""
    return _control(MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE, size.to_bytes(4))


def peer_bandwidth(size: int) -> Message:
    """How many bytes the peer may send before it waits for an acknowledgement."""
    return _control(MessageType.SET_PEER_BANDWIDTH, size.to_bytes(4) + bytes([_LIMIT_TYPE_DYNAMIC]))


def chunk_size(size: int) -> Message:
    """How much payload our next chunks have at most."""
    return _control(MessageType.SET_CHUNK_SIZE, size.to_bytes(4))


def acknowledgement(received_bytes: int) -> Message:
    """How many bytes have come in, modulo 2**32."""
    return _control(MessageType.ACKNOWLEDGEMENT, (received_bytes % 2**32).to_bytes(4))


def stream_begin(stream_id: int) -> Message:
    """The message stream can be used."""
    return _control(MessageType.USER_CONTROL, UserControl.STREAM_BEGIN.to_bytes(2) + stream_id.to_bytes(4))


def ping_response(asked: bytes) -> Message:
    """The answer to a ping request: its four bytes."""
    return _control(MessageType.USER_CONTROL, UserControl.PING_RESPONSE.to_bytes(2) + asked)


def _control(type_id: MessageType, payload: bytes) -> Message:
    return Message(type_id, 0, 0, payload)
