"""Messages out of a chunk stream (RTMP 1.0 section 5.3). Knows what a chunk is, and of messages only those that change
how chunks are read: Set Chunk Size and Abort.

This is the hot path of ingest. Payload goes straight into the message that it belongs to, and a message whose chunks
follow each other, as they nearly always do, is read in one loop that compares each header with the only one expected.
Besides the begun messages nothing is kept but an unfinished header, so bytes may come in any pieces at the same cost.
"""

from typing import Final

from stagebook.media.rtmp.message import MEDIA_TYPES, Message, MessageType
from stagebook.media.rtmp.rtmp_limits import RtmpError, RtmpLimits

DEFAULT_CHUNK_BYTES: Final = 128
MAX_CHUNK_BYTES: Final = 0x7FFFFFFF
EXTENDED: Final = 0xFFFFFF
"""The timestamp field that says that the timestamp is in four more bytes (section 5.3.1.3)."""

_MESSAGE_HEADER_BYTES = (11, 7, 3, 0)
_LONGEST_HEADER_BYTES = 3 + 11 + 4


class _ChunkStream:
    """What the chunks of one chunk stream have in common."""

    __slots__ = (
        "continuation",
        "delta",
        "extended",
        "is_open",
        "length",
        "payload",
        "stream_id",
        "timestamp",
        "type_id",
    )

    def __init__(self) -> None:
        self.timestamp = self.delta = self.length = self.type_id = self.stream_id = 0
        self.extended = b""
        """The extended timestamp of the last header with a timestamp; empty where that had none."""
        self.continuation = b""
        """The header of a type 3 chunk that goes on with the message, extended timestamp included."""
        self.is_open = False
        self.payload = bytearray()


class ChunkReader:
    """Takes bytes in, in any pieces, and gives messages out, in the order in which they become complete."""

    def __init__(self, limits: RtmpLimits) -> None:
        self._limits = limits
        self._streams: dict[int, _ChunkStream] = {}
        self._chunk_bytes = DEFAULT_CHUNK_BYTES
        self._header = b""
        """The beginning of a chunk's header."""
        self._stream: _ChunkStream | None = None
        """The one whose chunk is not complete; its missing bytes are `_missing`."""
        self._missing = 0
        self._incomplete_bytes = 0

    def receive(self, data: bytes) -> list[Message]:
        """Take the peer's next bytes; return the messages that they complete, without Set Chunk Size and Abort.

        Raises RtmpError; the reader must not be used after it.
        """
        if self._header:
            data = self._header + data
            self._header = b""
        position = 0
        messages: list[Message] = []
        while True:
            stream = self._stream
            if stream is None:
                header_size = self._open_chunk(data[position : position + _LONGEST_HEADER_BYTES])
                if not header_size:
                    self._header = data[position:]
                    return messages
                position += header_size
                continue
            position = self._take_payload(stream, data, position)
            if self._missing:
                return messages
            self._stream = None
            if len(stream.payload) == stream.length:
                self._complete(stream, messages)

    def _take_payload(self, stream: _ChunkStream, data: bytes, position: int) -> int:
        """Take the payload of the open chunk and of the chunks of the same message that follow it at once; return the
        new position. `_missing` is what the last chunk still lacks: above 0 only at the end of the data."""
        payload, continuation, chunk_bytes = stream.payload, stream.continuation, self._chunk_bytes
        skip, end, chunk = len(continuation), len(data), self._missing
        left = stream.length - len(payload)
        while True:
            stop = position + chunk
            if stop > end:
                payload += data[position:]
                self._missing = stop - end
                return end
            payload += data[position:stop]
            left -= chunk
            if not left or not data.startswith(continuation, stop):
                self._missing = 0
                return stop
            position = stop + skip
            chunk = min(left, chunk_bytes)

    def _open_chunk(self, head: bytes) -> int:
        """Read the chunk header that `head` begins with; return its size, 0 if it is not complete: nothing changed."""
        if not head:
            return 0
        chunk_stream_id = head[0] & 0x3F
        basic_size = 2 if chunk_stream_id == 0 else 3 if chunk_stream_id == 1 else 1
        if len(head) < basic_size:
            return 0
        if basic_size > 1:
            chunk_stream_id = 64 + int.from_bytes(head[1:basic_size], "little")
        if head[0] >> 6 == 3:
            return self._open_headless(chunk_stream_id, head, basic_size)
        return self._open_with_header(chunk_stream_id, head, basic_size)

    def _open_with_header(self, chunk_stream_id: int, head: bytes, basic_size: int) -> int:
        """Read a header of type 0, 1 or 2: a message begins, and what the header leaves out is as it was."""
        kind = head[0] >> 6
        size = basic_size + _MESSAGE_HEADER_BYTES[kind]
        field = int.from_bytes(head[basic_size : basic_size + 3])
        extended = head[size : size + 4] if field == EXTENDED else b""
        if len(head) < size or (field == EXTENDED and len(extended) < 4):
            return 0
        stream = self._stream_to_begin(chunk_stream_id, kind)
        if kind < 2:
            stream.length = int.from_bytes(head[basic_size + 3 : basic_size + 6])
            stream.type_id = head[basic_size + 6]
        if kind == 0:
            stream.stream_id = int.from_bytes(head[basic_size + 7 : basic_size + 11], "little")
            stream.timestamp = 0
        stream.extended = extended
        stream.continuation = bytes([head[0] | 0xC0]) + head[1:basic_size] + extended
        self._begin_message(stream, int.from_bytes(extended) if extended else field)
        return size + len(extended)

    def _open_headless(self, chunk_stream_id: int, head: bytes, basic_size: int) -> int:
        """Read a header of type 3: a message goes on, or one begins that is like the last one."""
        stream = self._streams.get(chunk_stream_id)
        if stream is None:
            raise RtmpError(f"chunk stream {chunk_stream_id} begins with a chunk of type 3, which tells no length")
        extended = head[basic_size : basic_size + 4] if stream.extended else b""
        if len(extended) < len(stream.extended):
            return 0
        if not stream.is_open:
            self._begin_message(stream, int.from_bytes(extended) if extended else stream.delta)
            return basic_size + len(extended)
        self._stream = stream
        self._missing = min(self._chunk_bytes, stream.length - len(stream.payload))
        # Some encoders leave the field out here. It repeats the one of the message's first chunk, so its absence shows.
        return basic_size + len(extended) if extended == stream.extended else basic_size

    def _stream_to_begin(self, chunk_stream_id: int, kind: int) -> _ChunkStream:
        """The chunk stream on which a message begins with a chunk of type `kind`, 0 to 2.

        A new one may begin with type 1, as librtmp begins its pings: it counts from timestamp 0 of message stream 0.
        """
        stream = self._streams.get(chunk_stream_id)
        if stream is None:
            if kind == 2:
                raise RtmpError(f"chunk stream {chunk_stream_id} begins with a chunk of type 2, which tells no length")
            if len(self._streams) == self._limits.max_chunk_streams:
                raise RtmpError(f"more than {self._limits.max_chunk_streams} chunk streams")
            stream = self._streams[chunk_stream_id] = _ChunkStream()
        elif stream.is_open:
            raise RtmpError(f"a message begins on chunk stream {chunk_stream_id} before the last one is complete")
        return stream

    def _begin_message(self, stream: _ChunkStream, delta: int) -> None:
        """Open a message that comes `delta` after the one before it on its chunk stream (after zero, for type 0)."""
        limits, length = self._limits, stream.length
        most = limits.max_message_bytes if stream.type_id in MEDIA_TYPES else limits.max_command_bytes
        if length > most:
            raise RtmpError(f"a message of type {stream.type_id} with {length} bytes: at most {most} are taken")
        self._incomplete_bytes += length
        if self._incomplete_bytes > limits.max_incomplete_bytes:
            raise RtmpError(f"messages with more than {limits.max_incomplete_bytes} bytes together are not complete")
        stream.delta = delta
        stream.timestamp = (stream.timestamp + delta) & 0xFFFFFFFF
        stream.is_open = True
        self._stream = stream
        self._missing = min(self._chunk_bytes, length)

    def _complete(self, stream: _ChunkStream, messages: list[Message]) -> None:
        """Close a message that has all its bytes, and obey it if it is about chunks."""
        payload, type_id = bytes(stream.payload), stream.type_id
        self._discard(stream)
        if type_id == MessageType.SET_CHUNK_SIZE:
            self._chunk_bytes = chunk_size(payload)
        elif type_id == MessageType.ABORT:
            if len(payload) != 4:
                raise RtmpError(f"an Abort message has 4 bytes, not {len(payload)}")
            aborted = self._streams.get(int.from_bytes(payload))
            if aborted is not None and aborted.is_open:
                self._discard(aborted)
        else:
            messages.append(Message(type_id, stream.stream_id, stream.timestamp, payload))

    def _discard(self, stream: _ChunkStream) -> None:
        """Forget the open message of a chunk stream."""
        self._incomplete_bytes -= stream.length
        stream.is_open = False
        stream.payload = bytearray()


def chunk_size(payload: bytes) -> int:
    """The value of a Set Chunk Size message (section 5.4.1): 1 to 0x7FFFFFFF. Raises RtmpError."""
    if len(payload) != 4:
        raise RtmpError(f"a chunk size has 4 bytes, not {len(payload)}")
    size = int.from_bytes(payload)
    if not 1 <= size <= MAX_CHUNK_BYTES:
        raise RtmpError(f"a chunk size is 1 to {MAX_CHUNK_BYTES}, not {size}")
    return size
