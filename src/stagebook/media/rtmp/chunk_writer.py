"""A message as chunks (RTMP 1.0 section 5.3). Keeps no state: each message begins with a full header."""

from stagebook.media.rtmp.chunks import EXTENDED
from stagebook.media.rtmp.message import Message


def write_message(message: Message, *, chunk_stream_id: int, chunk_bytes: int) -> bytes:
    """Write a message on chunk stream 2 to 65599, in chunks of `chunk_bytes` of payload."""
    basic = _basic_header(chunk_stream_id)
    is_extended = message.timestamp >= EXTENDED
    extended = message.timestamp.to_bytes(4) if is_extended else b""
    written = bytearray(basic)
    written += (EXTENDED if is_extended else message.timestamp).to_bytes(3)
    written += len(message.payload).to_bytes(3)
    written.append(message.type_id)
    written += message.stream_id.to_bytes(4, "little")
    written += extended
    written += message.payload[:chunk_bytes]
    continuation = bytes([basic[0] | 0xC0]) + basic[1:] + extended
    for start in range(chunk_bytes, len(message.payload), chunk_bytes):
        written += continuation
        written += message.payload[start : start + chunk_bytes]
    return bytes(written)


def _basic_header(chunk_stream_id: int) -> bytes:
    """The shortest basic header of type 0 (section 5.3.1.1)."""
    if chunk_stream_id < 64:
        return bytes([chunk_stream_id])
    if chunk_stream_id < 320:
        return bytes([0, chunk_stream_id - 64])
    return b"\x01" + (chunk_stream_id - 64).to_bytes(2, "little")
