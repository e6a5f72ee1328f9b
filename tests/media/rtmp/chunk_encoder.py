"""Encodes messages as chunks in every form that the specification allows (RTMP 1.0 section 5.3).

It is written from the specification and independent of the server's own writer, which uses one form only.
"""

from collections import deque
from collections.abc import Callable, Iterator

from stagebook.media.rtmp.message import Message, MessageType


class ChunkEncoder:
    """The sending side of a chunk stream."""

    def __init__(self, *, chunk_bytes: int = 128, compresses_headers: bool = True, max_id_form: int = 2) -> None:
        """`compresses_headers`: use chunk types 1 to 3 where possible. `max_id_form`: with 3, write chunk stream ids
        from 64 on in the long form even if the short form would do."""
        self.chunk_bytes = chunk_bytes
        self._compresses_headers = compresses_headers
        self._max_id_form = max_id_form
        self._latest: dict[int, tuple[Message, int]] = {}
        """The latest message of each chunk stream, and the value of its timestamp field."""

    def chunks(self, message: Message, chunk_stream_id: int) -> Iterator[tuple[bytes, bool]]:
        """Yield (chunk, whether it is the last) for one message. The chunk size may change between two chunks."""
        chunk_type, field = self._first_chunk(message, chunk_stream_id)
        self._latest[chunk_stream_id] = message, field
        extended = field.to_bytes(4) if field >= 0xFFFFFF else b""
        header = min(field, 0xFFFFFF).to_bytes(3) + len(message.payload).to_bytes(3) + bytes([message.type_id])
        header += message.stream_id.to_bytes(4, "little")
        head = self._basic_header(chunk_type, chunk_stream_id) + header[: (11, 7, 3, 0)[chunk_type]] + extended
        position = 0
        while True:
            payload = message.payload[position : position + self.chunk_bytes]
            position += len(payload)
            is_last = position == len(message.payload)
            yield head + payload, is_last
            if is_last:
                return
            head = self._basic_header(3, chunk_stream_id) + extended

    def message(self, message: Message, chunk_stream_id: int = 5) -> bytes:
        """All chunks of one message."""
        return b"".join(chunk for chunk, _ in self.chunks(message, chunk_stream_id))

    def set_chunk_bytes(self, size: int) -> bytes:
        """A Set Chunk Size message. The chunks after it have the new size."""
        written = self.message(Message(MessageType.SET_CHUNK_SIZE, 0, 0, size.to_bytes(4)), 2)
        self.chunk_bytes = size
        return written

    def interleaved(
        self, messages: list[tuple[int, Message]], choose: Callable[[list[int]], int]
    ) -> tuple[bytes, list[Message]]:
        """Encode (chunk stream id, message) pairs with interleaved chunks; `choose` picks each next chunk stream.

        Returns the bytes, and the messages in the order in which they become complete.
        """
        queues: dict[int, deque[Message]] = {}
        for chunk_stream_id, message in messages:
            queues.setdefault(chunk_stream_id, deque()).append(message)
        begun: dict[int, Iterator[tuple[bytes, bool]]] = {}
        written, complete = bytearray(), list[Message]()
        while queues:
            chunk_stream_id = choose(sorted(queues))
            queue = queues[chunk_stream_id]
            if chunk_stream_id not in begun:
                begun[chunk_stream_id] = self.chunks(queue[0], chunk_stream_id)
            chunk, is_last = next(begun[chunk_stream_id])
            written += chunk
            if is_last:
                del begun[chunk_stream_id]
                complete.append(queue.popleft())
                if not queue:
                    del queues[chunk_stream_id]
        return bytes(written), complete

    def _first_chunk(self, message: Message, chunk_stream_id: int) -> tuple[int, int]:
        """The type of a message's first chunk and the value of its timestamp field."""
        latest = self._latest.get(chunk_stream_id)
        if latest is None or not self._compresses_headers or latest[0].stream_id != message.stream_id:
            return 0, message.timestamp
        previous, field = latest
        delta = (message.timestamp - previous.timestamp) % 2**32
        if (previous.type_id, len(previous.payload)) != (message.type_id, len(message.payload)):
            return 1, delta
        return (3 if delta == field else 2), delta

    def _basic_header(self, chunk_type: int, chunk_stream_id: int) -> bytes:
        if chunk_stream_id < 64:
            return bytes([chunk_type << 6 | chunk_stream_id])
        if chunk_stream_id < 320 and self._max_id_form < 3:
            return bytes([chunk_type << 6, chunk_stream_id - 64])
        return bytes([chunk_type << 6 | 1]) + (chunk_stream_id - 64).to_bytes(2, "little")
