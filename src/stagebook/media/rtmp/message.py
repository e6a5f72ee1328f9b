"""A message of RTMP, and the types of messages (RTMP 1.0 sections 5.4, 6.2, 7.1). Knows no chunk and no command."""

from enum import IntEnum

import msgspec


class MessageType(IntEnum):
    """The message types that mean something here. An encoder may send others; they are passed over."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACKNOWLEDGEMENT_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    COMMAND_AMF3 = 17
    COMMAND_AMF0 = 20
    AGGREGATE = 22


MEDIA_TYPES = frozenset({MessageType.AUDIO, MessageType.VIDEO, MessageType.AGGREGATE})


class Message(msgspec.Struct, frozen=True, gc=False):
    """One whole message. `type_id` is any byte, a MessageType or not; `timestamp` counts milliseconds modulo 2**32."""

    type_id: int
    stream_id: int
    timestamp: int
    payload: bytes
