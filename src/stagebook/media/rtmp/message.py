"""RTMP messages and their types (sections 5.4, 6 and 7.1).

A message is the unit of the protocol above the chunk stream. It belongs to a message stream: 0 for the connection
itself, or one that `createStream` created.
"""

from enum import IntEnum

import msgspec


class MessageType(IntEnum):
    """The message types that the server handles. It ignores all others, such as data messages (`onMetaData`)."""

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
    """One complete message. `type_id` may be any byte, not only a MessageType.

    `timestamp` is in milliseconds, modulo 2**32. The `payload` of a received message is the buffer in which its chunks
    were joined. It is not modified after the message is returned.
    """

    type_id: int
    stream_id: int
    timestamp: int
    payload: bytes | bytearray
