"""Decoding the chunk stream into messages (section 5.3).

Messages are sent in chunks, so that a long video message does not delay the audio. A chunk is a header and a part of
one message:

    basic header              1 to 3 bytes: the chunk type (2 bits) and the chunk stream id
    message header            11, 7, 3 or 0 bytes for chunk types 0, 1, 2 and 3
    extended timestamp        4 bytes, if the timestamp field is 0xFFFFFF
    payload                   the chunk size, or what the message still lacks if that is less

    type 0   timestamp, message length, message type id, message stream id    begins a message
    type 1   timestamp delta, message length, message type id                 begins a message
    type 2   timestamp delta                                                  begins a message
    type 3   nothing                                                          continues a message or begins one

A field that a header lacks has the value of the previous message on the same chunk stream. The chunks of different
chunk streams may alternate.

This module is the hot path of ingest. Payload is copied directly into the message's buffer. The chunks of one message
usually follow each other, so a loop compares the bytes after each chunk with the only header that can continue the
message. Between two calls the reader keeps, besides incomplete messages, at most an incomplete header, so the cost per
byte does not depend on how the bytes are split.

A chunk costs as much work as some hundred bytes. So a sender cannot choose chunks of less than 128 bytes, which is the
default and the recommended minimum, and the owner limits the number of messages.

A data message that is too long is skipped instead of being an error: the server ignores data messages anyway, and some
encoders send large ones (a thumbnail or a list of cue points in `onMetaData`). Its bytes are dropped as they arrive.
"""

from typing import Final

from stagebook.media.rtmp.chunk_stream import ChunkStream
from stagebook.media.rtmp.message import DATA_TYPES, MEDIA_TYPES, Message, MessageType
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

DEFAULT_CHUNK_BYTES: Final = 128
"""The chunk size until the sender sets another one (section 5.4.1)."""
MIN_CHUNK_BYTES: Final = 128
MAX_CHUNK_BYTES: Final = 0x7FFFFFFF
EXTENDED_TIMESTAMP: Final = 0xFFFFFF
"""The value of the timestamp field that announces an extended timestamp (section 5.3.1.3)."""

_MESSAGE_HEADER_BYTES = (11, 7, 3, 0)
"""The size of the message header by chunk type (section 5.3.1.2)."""
_MAX_HEADER_BYTES = 3 + 11 + 4


class ChunkReader:
    """Decodes one direction of a connection, after the handshake. Messages are returned in the order of completion."""

    def __init__(self, limits: RtmpLimits) -> None:
        self._limits = limits
        self._streams: dict[int, ChunkStream] = {}
        self._chunk_bytes = DEFAULT_CHUNK_BYTES
        self._header = b""
        """The incomplete chunk header at the end of the received bytes."""
        self._stream: ChunkStream | None = None
        """The chunk stream of the incomplete chunk; `_missing` is the number of bytes that the chunk still lacks."""
        self._missing = 0
        self._incomplete_bytes = 0
        self.applied_count = 0
        """The messages so far that were applied and not returned."""

    def receive(self, data: bytes) -> list[Message]:
        """Process received bytes and return the messages that they complete.

        Set Chunk Size and Abort messages are applied and not returned. Raises RtmpError; the reader must not be used
        after it.
        """
        # At most 17 bytes: an incomplete header is read again together with what follows it, so no state of a header
        # is kept between two calls.
        if self._header:
            data = self._header + data
            self._header = b""
        position = 0
        messages: list[Message] = []
        while True:
            stream = self._stream
            if stream is None:
                header_size = self._read_header(data[position : position + _MAX_HEADER_BYTES])
                if not header_size:
                    self._header = data[position:]
                    return messages
                position += header_size
                continue
            position = self._read_payload(stream, data, position)
            # Dropped here and not in `_read_payload`, whose loop must not get slower. What it has collected is at most
            # the size of `data`.
            if stream.is_skipped:
                stream.skipped_bytes += len(stream.payload)
                stream.payload.clear()
            if self._missing:
                return messages
            self._stream = None
            if not stream.missing_bytes:
                self._complete(stream, messages)

    def _read_payload(self, stream: ChunkStream, data: bytes, position: int) -> int:
        """Read the payload of the current chunk and of the chunks that directly continue its message.

        Returns the new position. Afterwards `_missing` is the number of bytes that the last chunk still lacks, which is
        above 0 only at the end of the data.
        """
        payload, continuation, chunk_bytes = stream.payload, stream.continuation, self._chunk_bytes
        view = memoryview(data)  # Slices of a memoryview are not copies.
        skip, end, chunk = len(continuation), len(data), self._missing
        left = stream.missing_bytes
        while True:
            stop = position + chunk
            if stop > end:
                payload += view[position:]
                self._missing = stop - end
                return end
            payload += view[position:stop]
            left -= chunk
            # `startswith` is also False for a header that is cut off at the end of the data.
            if not left or not data.startswith(continuation, stop):
                self._missing = 0
                return stop
            position = stop + skip
            chunk = min(left, chunk_bytes)

    def _read_header(self, head: bytes) -> int:
        """Read the chunk header at the start of `head` and return its size.

        Returns 0, and changes nothing, if the header is incomplete.
        """
        if not head:
            return 0
        # Basic header (section 5.3.1.1): id 0 and 1 mean that the id is in the next one or two bytes.
        chunk_stream_id = head[0] & 0x3F
        basic_size = 2 if chunk_stream_id == 0 else 3 if chunk_stream_id == 1 else 1
        if len(head) < basic_size:
            return 0
        if basic_size > 1:
            chunk_stream_id = 64 + int.from_bytes(head[1:basic_size], "little")
        if head[0] >> 6 == 3:
            return self._read_type_3(chunk_stream_id, head, basic_size)
        return self._read_type_0_to_2(chunk_stream_id, head, basic_size)

    def _read_type_0_to_2(self, chunk_stream_id: int, head: bytes, basic_size: int) -> int:
        """Read a header that begins a message (sections 5.3.1.2.1 to 5.3.1.2.3)."""
        chunk_type = head[0] >> 6
        size = basic_size + _MESSAGE_HEADER_BYTES[chunk_type]
        field = int.from_bytes(head[basic_size : basic_size + 3])
        extended = head[size : size + 4] if field == EXTENDED_TIMESTAMP else b""
        if len(head) < size or (field == EXTENDED_TIMESTAMP and len(extended) < 4):
            return 0
        stream = self._stream_for_new_message(chunk_stream_id, chunk_type)
        if chunk_type < 2:
            stream.length = int.from_bytes(head[basic_size + 3 : basic_size + 6])
            stream.type_id = head[basic_size + 6]
        if chunk_type == 0:
            stream.stream_id = int.from_bytes(head[basic_size + 7 : basic_size + 11], "little")
            # The field is an absolute timestamp and not a delta.
            stream.timestamp = 0
        stream.extended = extended
        stream.continuation = bytes([head[0] | 0xC0]) + head[1:basic_size] + extended
        self._begin_message(stream, int.from_bytes(extended) if extended else field)
        return size + len(extended)

    def _read_type_3(self, chunk_stream_id: int, head: bytes, basic_size: int) -> int:
        """Read a header that continues a message or begins one with the same fields (section 5.3.1.2.4)."""
        stream = self._streams.get(chunk_stream_id)
        if stream is None:
            raise RtmpError(
                f"chunk stream {chunk_stream_id} begins with a chunk of type 3, which has no message length"
            )
        extended = head[basic_size : basic_size + 4] if stream.extended else b""
        if len(extended) < len(stream.extended):
            return 0
        if not stream.is_open:
            # After type 0 the delta is its timestamp field, as the specification says.
            self._begin_message(stream, int.from_bytes(extended) if extended else stream.delta)
            return basic_size + len(extended)
        self._stream = stream
        self._missing = min(self._chunk_bytes, stream.missing_bytes)
        # Some encoders do not repeat the extended timestamp in type 3 chunks. If the four bytes differ from that of the
        # message's first chunk, they are payload.
        return basic_size + len(extended) if extended == stream.extended else basic_size

    def _stream_for_new_message(self, chunk_stream_id: int, chunk_type: int) -> ChunkStream:
        """The chunk stream on which a chunk of type 0, 1 or 2 begins a message.

        A new chunk stream may begin with type 1, as librtmp does for its pings; timestamp and message stream id are 0.
        """
        stream = self._streams.get(chunk_stream_id)
        if stream is None:
            if chunk_type == 2:
                raise RtmpError(
                    f"chunk stream {chunk_stream_id} begins with a chunk of type 2, which has no message length"
                )
            if len(self._streams) == self._limits.max_chunk_streams:
                raise RtmpError(f"more than {self._limits.max_chunk_streams} chunk streams")
            stream = self._streams[chunk_stream_id] = ChunkStream()
        elif stream.is_open:
            raise RtmpError(f"a message begins on chunk stream {chunk_stream_id} before the previous one is complete")
        return stream

    def _begin_message(self, stream: ChunkStream, delta: int) -> None:
        """Open a message whose timestamp is `delta` after the previous one's, and check its length."""
        limits, length = self._limits, stream.length
        max_bytes = limits.max_message_bytes if stream.type_id in MEDIA_TYPES else limits.max_command_bytes
        stream.is_skipped = length > max_bytes and stream.type_id in DATA_TYPES
        stream.skipped_bytes = 0
        if length > max_bytes and not stream.is_skipped:
            raise RtmpError(f"a message of type {stream.type_id} has {length} bytes; at most {max_bytes} are allowed")
        # The announced length counts at once: a client must not open 64 messages of 4 MiB and fill them slowly.
        self._incomplete_bytes += 0 if stream.is_skipped else length
        if self._incomplete_bytes > limits.max_incomplete_bytes:
            raise RtmpError(f"the incomplete messages have more than {limits.max_incomplete_bytes} bytes together")
        stream.delta = delta
        stream.timestamp = (stream.timestamp + delta) & 0xFFFFFFFF
        stream.is_open = True
        self._stream = stream
        self._missing = min(self._chunk_bytes, length)

    def _complete(self, stream: ChunkStream, messages: list[Message]) -> None:
        """Close a message that has all its bytes. Apply Set Chunk Size and Abort; append any other to `messages`."""
        # `_discard` gives the chunk stream a new buffer, so the message owns this one.
        payload, type_id = stream.payload, stream.type_id
        self._discard(stream)
        if stream.is_skipped:
            return
        if type_id == MessageType.SET_CHUNK_SIZE:
            self.applied_count += 1
            self._chunk_bytes = read_chunk_size(payload)
        elif type_id == MessageType.ABORT:
            self.applied_count += 1
            # Section 5.4.2: discard the incomplete message of the named chunk stream.
            if len(payload) != 4:
                raise RtmpError(f"an Abort message has 4 bytes, not {len(payload)}")
            aborted = self._streams.get(int.from_bytes(payload))
            if aborted is not None and aborted.is_open:
                self._discard(aborted)
        else:
            messages.append(Message(type_id, stream.stream_id, stream.timestamp, payload))

    def _discard(self, stream: ChunkStream) -> None:
        """Close the message of a chunk stream and release its payload."""
        self._incomplete_bytes -= 0 if stream.is_skipped else stream.length
        stream.is_open = False
        stream.payload = bytearray()


def read_chunk_size(payload: bytes | bytearray) -> int:
    """The value of a Set Chunk Size message (section 5.4.1), 128 to 0x7FFFFFFF. Raises RtmpError."""
    if len(payload) != 4:
        raise RtmpError(f"a Set Chunk Size message has 4 bytes, not {len(payload)}")
    size = int.from_bytes(payload)
    if not MIN_CHUNK_BYTES <= size <= MAX_CHUNK_BYTES:
        raise RtmpError(f"a chunk size must be {MIN_CHUNK_BYTES} to {MAX_CHUNK_BYTES}, not {size}")
    return size
