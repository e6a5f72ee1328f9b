"""Messages as chunks in every way that the specification allows, for the tests of what reads them.

Written from the specification (RTMP 1.0 section 5.3) and not with the server's own writer, which uses one way only.
"""

from collections import deque
from collections.abc import Callable, Iterator

from stagebook.media.rtmp.message import Message, MessageType


class EncoderSocket:
    """The sending end of a chunk stream."""

    def __init__(self, *, chunk_bytes: int = 128, is_frugal: bool = True, form: int = 2) -> None:
        """`is_frugal`: leave out of headers what may be left out. `form`: 3 for long chunk stream ids where
        short ones would do."""
        self.chunk_bytes = chunk_bytes
        self._is_frugal = is_frugal
        self._form = form
        self._last: dict[int, tuple[Message, int]] = {}
        """Of each chunk stream the last message and the value of its timestamp field."""

    def chunks(self, message: Message, chunk_stream_id: int) -> Iterator[tuple[bytes, bool]]:
        """Yield the chunks of one message, and of each whether it is the last. The chunk size may change meanwhile."""
        kind, field = self._choice(message, chunk_stream_id)
        self._last[chunk_stream_id] = message, field
        extended = field.to_bytes(4) if field >= 0xFFFFFF else b""
        header = min(field, 0xFFFFFF).to_bytes(3) + len(message.payload).to_bytes(3) + bytes([message.type_id])
        header += message.stream_id.to_bytes(4, "little")
        head = self._basic(kind, chunk_stream_id) + header[: (11, 7, 3, 0)[kind]] + extended
        position = 0
        while True:
            payload = message.payload[position : position + self.chunk_bytes]
            position += len(payload)
            is_last = position == len(message.payload)
            yield head + payload, is_last
            if is_last:
                return
            head = self._basic(3, chunk_stream_id) + extended

    def message(self, message: Message, chunk_stream_id: int = 5) -> bytes:
        """All chunks of one message."""
        return b"".join(chunk for chunk, _ in self.chunks(message, chunk_stream_id))

    def set_chunk_bytes(self, size: int) -> bytes:
        """A Set Chunk Size message, obeyed by what is written after it."""
        written = self.message(Message(MessageType.SET_CHUNK_SIZE, 0, 0, size.to_bytes(4)), 2)
        self.chunk_bytes = size
        return written

    def mixed(
        self, messages: list[tuple[int, Message]], choose: Callable[[list[int]], int]
    ) -> tuple[bytes, list[Message]]:
        """The messages, each on its chunk stream, with their chunks mixed as `choose` picks the next chunk stream; and
        the messages in the order in which they become complete."""
        waiting: dict[int, deque[Message]] = {}
        for chunk_stream_id, message in messages:
            waiting.setdefault(chunk_stream_id, deque()).append(message)
        begun: dict[int, Iterator[tuple[bytes, bool]]] = {}
        written, complete = bytearray(), list[Message]()
        while waiting:
            chunk_stream_id = choose(sorted(waiting))
            queue = waiting[chunk_stream_id]
            if chunk_stream_id not in begun:
                begun[chunk_stream_id] = self.chunks(queue[0], chunk_stream_id)
            chunk, is_last = next(begun[chunk_stream_id])
            written += chunk
            if is_last:
                del begun[chunk_stream_id]
                complete.append(queue.popleft())
                if not queue:
                    del waiting[chunk_stream_id]
        return bytes(written), complete

    def _choice(self, message: Message, chunk_stream_id: int) -> tuple[int, int]:
        """The type of the first chunk and the value of its timestamp field."""
        last = self._last.get(chunk_stream_id)
        if last is None or not self._is_frugal or last[0].stream_id != message.stream_id:
            return 0, message.timestamp
        before, field = last
        delta = (message.timestamp - before.timestamp) % 2**32
        if (before.type_id, len(before.payload)) != (message.type_id, len(message.payload)):
            return 1, delta
        return (3 if delta == field else 2), delta

    def _basic(self, kind: int, chunk_stream_id: int) -> bytes:
        if chunk_stream_id < 64:
            return bytes([kind << 6 | chunk_stream_id])
        if chunk_stream_id < 320 and self._form < 3:
            return bytes([kind << 6, chunk_stream_id - 64])
        return bytes([kind << 6 | 1]) + (chunk_stream_id - 64).to_bytes(2, "little")
