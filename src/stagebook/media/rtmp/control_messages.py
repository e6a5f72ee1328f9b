"""Protocol control messages (section 5.4) and user control messages (sections 6.2 and 7.1.7).

Both are sent on message stream 0. Set Chunk Size and Abort change how chunks are read, so `chunk_reader` handles them.
"""

from enum import IntEnum

from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.rtmp_error import RtmpError

_LIMIT_TYPE_DYNAMIC = 2


class UserControlEvent(IntEnum):
    """The user control events that the server handles or sends (section 7.1.7)."""

    STREAM_BEGIN = 0
    PING_REQUEST = 6
    PING_RESPONSE = 7


def read_window_size(payload: bytes | bytearray) -> int:
    """The window size in bytes of a Window Acknowledgement Size or Set Peer Bandwidth message (sections 5.4.4, 5.4.5).

    The limit type, the fifth byte of the latter, is ignored. Raises RtmpError for a payload of another length.
    """
    if len(payload) not in {4, 5}:
        raise RtmpError(f"a window size or bandwidth message has 4 or 5 bytes, not {len(payload)}")
    return int.from_bytes(payload[:4])


def read_ping_request(payload: bytes | bytearray) -> bytes | None:
    """The four bytes of a Ping Request that the response repeats; None for another user control event.

    Raises RtmpError for a payload of a wrong length.
    """
    if len(payload) < 2:
        raise RtmpError("a user control message has at least 2 bytes")
    if int.from_bytes(payload[:2]) != UserControlEvent.PING_REQUEST:
        return None
    if len(payload) != 6:
        raise RtmpError(f"a ping request has 6 bytes, not {len(payload)}")
    return bytes(payload[2:])


def window_acknowledgement_size(size_bytes: int) -> Message:
    """How many bytes the client may receive before it must send an acknowledgement (section 5.4.4).

    The server does not wait for these acknowledgements: it sends less than a window in the life of a connection.
    """
    return _control(MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE, size_bytes.to_bytes(4))


def set_peer_bandwidth(size_bytes: int) -> Message:
    """How many bytes the client may send before it waits for an acknowledgement (section 5.4.5)."""
    return _control(MessageType.SET_PEER_BANDWIDTH, size_bytes.to_bytes(4) + bytes([_LIMIT_TYPE_DYNAMIC]))


def set_chunk_size(size_bytes: int) -> Message:
    """The maximum payload of the server's chunks from now on (section 5.4.1)."""
    return _control(MessageType.SET_CHUNK_SIZE, size_bytes.to_bytes(4))


def acknowledgement(received_bytes: int) -> Message:
    """The number of bytes received so far, modulo 2**32 (section 5.4.3). It includes the handshake.

    The field wraps after 4 GiB, about two hours at 5 Mbit/s. The specification does not mention it.
    """
    return _control(MessageType.ACKNOWLEDGEMENT, (received_bytes % 2**32).to_bytes(4))


def stream_begin(stream_id: int) -> Message:
    """A message stream can be used (section 7.1.7)."""
    return _control(MessageType.USER_CONTROL, UserControlEvent.STREAM_BEGIN.to_bytes(2) + stream_id.to_bytes(4))


def ping_response(timestamp: bytes) -> Message:
    """The answer to a Ping Request, with its four bytes (section 7.1.7)."""
    return _control(MessageType.USER_CONTROL, UserControlEvent.PING_RESPONSE.to_bytes(2) + timestamp)


def _control(type_id: MessageType, payload: bytes) -> Message:
    return Message(type_id, 0, 0, payload)
