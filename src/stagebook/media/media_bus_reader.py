"""The receiving end of a media bus connection: length-prefixed messages, decoded in the buffer that received them.

A message is a length of four bytes (big endian) and a msgpack body of that length, as `worker.framing` defines it. The
event loop writes received bytes straight into one of two buffers (`asyncio.BufferedProtocol`):

* the receive buffer, of a fixed size, for as many messages as one read of the socket returns. They are decoded in
  place, so the decoder makes the only copy of the payloads;
* a body buffer of the exact size, for a message that has begun in the receive buffer and is not complete. The part that
  is there is copied, and the rest is received directly.

`asyncio.StreamReader` would copy each byte four times before the decoder sees it.

Flow control: the socket is not read while messages of MAX_UNREAD_BYTES or more wait for `next`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final, Generic, cast

import msgspec

from stagebook.media.media_bus import MAX_FEED_MESSAGE_BYTES, MAX_HELLO_BYTES
from stagebook.media.worker.framing import LENGTH_BYTES, MALFORMED_ERRORS, BrokenStreamError, MessageT

MAX_UNREAD_BYTES: Final = 256 << 10
_RECEIVE_BUFFER_BYTES: Final = 64 << 10
"""One frame at 15 Mbit/s and 30 frames per second."""


class MediaBusReader(asyncio.BufferedProtocol, Generic[MessageT]):
    """One connection. It is served by a task of its own, which calls `next` for each message and `close` at the end."""

    def __init__(
        self,
        serve: Callable[["MediaBusReader[MessageT]"], Coroutine[None, None, None]],
        decoder: msgspec.msgpack.Decoder[MessageT],
    ) -> None:
        """`serve` starts when the connection is made. `decoder` accepts the messages of this kind of connection."""
        self._serve = serve
        self._decoder = decoder
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._receive_buffer = memoryview(bytearray(_RECEIVE_BUFFER_BYTES))
        self._body_buffer: memoryview | None = None
        """Of an incomplete message; None while bytes go to the receive buffer."""
        self._filled_bytes = 0
        """Of the buffer that is in use."""
        self._max_bytes = MAX_HELLO_BYTES
        self._unread: deque[tuple[MessageT, int]] = deque()
        """Decoded messages with their sizes in bytes."""
        self._unread_bytes = 0
        self._is_paused = False
        self._error = ""
        self._changed = asyncio.Event()

    async def next(self) -> MessageT:
        """Return the next message.

        Raises BrokenStreamError when the connection has ended, for a length that is 0 or too large, and for a body that
        is not a message. The messages before that are returned first.
        """
        while not self._unread:
            if self._error:
                raise BrokenStreamError(self._error)
            self._changed.clear()
            await self._changed.wait()
        message, size_bytes = self._unread.popleft()
        self._unread_bytes -= size_bytes
        self._control_flow()
        return message

    def send(self, data: bytes | bytearray) -> None:
        """Send a framed message to the other end. It is dropped if the connection has ended."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    # Callbacks of asyncio.BufferedProtocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._task = asyncio.create_task(self._serve(self))

    def get_buffer(self, _sizehint: int) -> memoryview:
        buffer = self._receive_buffer if self._body_buffer is None else self._body_buffer
        return buffer[self._filled_bytes :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled_bytes += nbytes
        if self._error:
            self._filled_bytes = 0  # Nothing is decoded after an error.
        elif self._body_buffer is None:
            self._decode_receive_buffer()
        elif self._filled_bytes == len(self._body_buffer):
            body, self._body_buffer, self._filled_bytes = self._body_buffer, None, 0
            self._decode(body)
        self._control_flow()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._fail("the other process closed the connection")

    def _decode_receive_buffer(self) -> None:
        """Decode the complete messages, and move an incomplete one to a body buffer."""
        received, position = self._receive_buffer[: self._filled_bytes], 0
        while not self._error and len(received) - position >= LENGTH_BYTES:
            start = position + LENGTH_BYTES
            length = int.from_bytes(received[position:start])
            if not 0 < length <= self._max_bytes:
                self._fail(f"the message has {length} bytes; 1 to {self._max_bytes} are allowed")
                break
            position = start + length
            if position > len(received):
                part = received[start:]
                self._body_buffer = memoryview(bytearray(length))
                self._body_buffer[: len(part)] = part
                self._filled_bytes = len(part)
                return
            self._decode(received[start:position])
        # At most three bytes of a length are left.
        rest = bytes(received[position:]) if not self._error else b""
        self._receive_buffer[: len(rest)] = rest
        self._filled_bytes = len(rest)

    def _decode(self, body: memoryview) -> None:
        try:
            message = self._decoder.decode(body)
        except MALFORMED_ERRORS as error:
            self._fail(f"not a message of the media bus: {error}")
            return
        self._max_bytes = MAX_FEED_MESSAGE_BYTES
        self._unread.append((message, len(body)))
        self._unread_bytes += len(body)
        self._changed.set()

    def _control_flow(self) -> None:
        """Pause or resume the socket after a change of `_unread_bytes`."""
        is_full = self._unread_bytes >= MAX_UNREAD_BYTES
        if is_full is self._is_paused or self._transport is None or self._transport.is_closing():
            return
        self._is_paused = is_full
        if is_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _fail(self, detail: str) -> None:
        """Let `next` raise, and close the connection. The first error counts."""
        self._error = self._error or detail
        self._changed.set()
        self.close()
