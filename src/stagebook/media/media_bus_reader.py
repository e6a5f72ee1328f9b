"""The receiving end of a media bus connection: length-prefixed messages, read without intermediate copies.

A message is a length of four bytes (big endian) and a msgpack body of that length, as `worker.framing` defines it. The
event loop writes the length, and then the body, straight from the socket into a buffer of exactly that size
(`asyncio.BufferedProtocol`). `asyncio.StreamReader` would copy each byte four times before the decoder sees it.

Flow control: the socket is not read while complete messages of MAX_UNREAD_BYTES or more wait for `next`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final, cast

import msgspec

from stagebook.media.media_bus import MAX_FEED_MESSAGE_BYTES, MAX_HELLO_BYTES, FeedMessage
from stagebook.media.worker.framing import LENGTH_BYTES, BrokenStreamError

MAX_UNREAD_BYTES: Final = 256 << 10

_decoder: msgspec.msgpack.Decoder[FeedMessage] = msgspec.msgpack.Decoder(FeedMessage)


class MediaBusReader(asyncio.BufferedProtocol):
    """One connection. It is served by a task of its own, which calls `next` for each message and `close` at the end."""

    def __init__(self, serve: Callable[["MediaBusReader"], Coroutine[None, None, None]]) -> None:
        """`serve` starts when the connection is made."""
        self._serve = serve
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._max_bytes = MAX_HELLO_BYTES
        self._buffer = bytearray(LENGTH_BYTES)
        self._filled_bytes = 0
        self._is_in_body = self._is_paused = False
        self._unread: deque[bytearray] = deque()
        self._unread_bytes = 0
        self._error = ""
        self._changed = asyncio.Event()

    async def next(self) -> FeedMessage:
        """Return the next message.

        Raises BrokenStreamError when the connection has ended, for a length that is 0 or too large, and for a body that
        is not a message.
        """
        while not self._unread:
            if self._error:
                raise BrokenStreamError(self._error)
            self._changed.clear()
            await self._changed.wait()
        body = self._unread.popleft()
        self._unread_bytes -= len(body)
        self._control_flow()
        try:
            return _decoder.decode(body)
        except msgspec.DecodeError as error:
            raise BrokenStreamError(f"not a message of the media bus: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    # Callbacks of asyncio.BufferedProtocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._task = asyncio.create_task(self._serve(self))

    def get_buffer(self, _sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled_bytes :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled_bytes += nbytes
        if self._filled_bytes < len(self._buffer):
            return
        if self._is_in_body:
            self._end_message(self._buffer)
        else:
            self._begin_body(int.from_bytes(self._buffer))
        self._filled_bytes = 0

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._fail("the other process closed the connection")

    def _begin_body(self, length: int) -> None:
        if not 0 < length <= self._max_bytes:
            # The buffer of the length stays, and what follows is written over it until the connection is closed.
            self._fail(f"the message has {length} bytes; 1 to {self._max_bytes} are allowed")
            self.close()
            return
        self._buffer = bytearray(length)
        self._is_in_body = True

    def _end_message(self, body: bytearray) -> None:
        self._unread.append(body)
        self._unread_bytes += len(body)
        self._max_bytes = MAX_FEED_MESSAGE_BYTES
        self._buffer = bytearray(LENGTH_BYTES)
        self._is_in_body = False
        self._control_flow()
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
        """Let `next` raise once the complete messages are read. The first error counts."""
        self._error = self._error or detail
        self._changed.set()
