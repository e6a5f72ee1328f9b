"""Encoding messages as chunks (section 5.3).

Each message begins with a chunk of type 0, whose header has all fields, and continues with chunks of type 3, whose
headers have none. Types 1 and 2 would save a few bytes by leaving out fields that equal those of the previous message;
without them the writer needs no state. A server sends so little that this does not matter.
"""

from stagebook.media.rtmp.chunk_reader import EXTENDED_TIMESTAMP
from stagebook.media.rtmp.message import Message


def write_message(message: Message, *, chunk_stream_id: int, chunk_bytes: int) -> bytes:
    """Encode a message on chunk stream 2 to 65599, with at most `chunk_bytes` of payload in each chunk."""
    basic = _basic_header(chunk_stream_id)
    is_extended = message.timestamp >= EXTENDED_TIMESTAMP
    extended = message.timestamp.to_bytes(4) if is_extended else b""
    written = bytearray(basic)
    written += (EXTENDED_TIMESTAMP if is_extended else message.timestamp).to_bytes(3)
    written += len(message.payload).to_bytes(3)
    written.append(message.type_id)
    written += message.stream_id.to_bytes(4, "little")
    written += extended
    written += message.payload[:chunk_bytes]
    # The extended timestamp is repeated in each chunk of type 3 (section 5.3.1.3).
    continuation = bytes([basic[0] | 0xC0]) + basic[1:] + extended
    for start in range(chunk_bytes, len(message.payload), chunk_bytes):
        written += continuation
        written += message.payload[start : start + chunk_bytes]
    return bytes(written)


def _basic_header(chunk_stream_id: int) -> bytes:
    """The shortest basic header of a chunk of type 0 (section 5.3.1.1)."""
    if chunk_stream_id < 64:
        return bytes([chunk_stream_id])
    if chunk_stream_id < 320:
        return bytes([0, chunk_stream_id - 64])
    return b"\x01" + (chunk_stream_id - 64).to_bytes(2, "little")
