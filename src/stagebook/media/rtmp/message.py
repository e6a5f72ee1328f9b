"""RTMP messages and their types (sections 5.4, 6 and 7.1).

A message is the unit of the protocol above the chunk stream. It belongs to a message stream: 0 for the connection
itself, or one that `createStream` created.
"""

from enum import IntEnum

import msgspec


class MessageType(IntEnum):
    """The message types that the server handles, and the data and shared object messages, which it ignores."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACKNOWLEDGEMENT_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    SHARED_OBJECT_AMF3 = 16
    COMMAND_AMF3 = 17
    DATA_AMF0 = 18
    SHARED_OBJECT_AMF0 = 19
    COMMAND_AMF0 = 20
    AGGREGATE = 22


MEDIA_TYPES = frozenset({MessageType.AUDIO, MessageType.VIDEO, MessageType.AGGREGATE})
DATA_TYPES = frozenset(
    {
        MessageType.DATA_AMF0,
        MessageType.DATA_AMF3,
        MessageType.SHARED_OBJECT_AMF0,
        MessageType.SHARED_OBJECT_AMF3,
    }
)
"""Types whose content the server ignores: the media itself says what `onMetaData` does."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One complete message. `type_id` may be any byte, not only a MessageType.

    `timestamp` is in milliseconds, modulo 2**32. The `payload` of a received message is the buffer in which its chunks
    were joined. It is not modified after the message is returned.
    """

    type_id: int
    stream_id: int
    timestamp: int
    payload: bytes | bytearray
