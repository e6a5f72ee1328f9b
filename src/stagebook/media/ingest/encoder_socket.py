"""One TCP connection of an encoder, with or without TLS.

The event loop writes received bytes straight into a fixed buffer (`asyncio.BufferedProtocol`):

    +----------------+------------------+-----------------+
    | already read   | received, unread | free            |
    +----------------+------------------+-----------------+
    0                start              end               BUFFER_BYTES

`read` copies the next unread bytes out and moves `start`. When everything is read, both positions return to 0. When no
space is free, the socket is not read until the buffer is empty, so that TCP's flow control slows the encoder down.

A connection ends in three steps (RFC 9293 section 3.6): the queued answers are sent, then FIN, and then the encoder's
remaining bytes are read and dropped until its own FIN. Without the third step the kernel would answer those bytes with
a reset (RFC 1122 section 4.2.2.13), and the encoder could lose the last answer.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import Final, cast

READ_BYTES: Final = 16 << 10
"""Maximum number of bytes that one `read` returns, so that a fast encoder does not delay the other connections."""
BUFFER_BYTES: Final = 64 << 10
"""Size of the receive buffer of one connection."""
_MAX_UNSENT_BYTES: Final = 256 << 10
"""Maximum number of bytes that wait to be sent. All answers of a connection together are much smaller."""
_FINISH_TIMEOUT_SECONDS: Final = 2.0
"""How long `finish` waits for the encoder to read the last answer and to close its end."""

_DROPPED: Final = memoryview(bytearray(BUFFER_BYTES))
"""Receive buffer for bytes that nobody reads. All connections share it."""


class NotReadError(Exception):
    """The encoder does not read the server's answers."""


class EncoderSocket(asyncio.BufferedProtocol):
    """An accepted connection.

    Bytes that were received before the end of the connection are read before the end is reported, also before a reset.
    Many encoders send their last commands and close the socket without reading the answers, which the server's kernel
    sees as data followed by a reset.
    """

    def __init__(self, *, is_secure: bool) -> None:
        self._is_secure = is_secure
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0
        self._has_ended = self._is_lost = self._is_behind = self._is_paused = self._is_dropping = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    @classmethod
    async def open(
        cls, accepted: socket.socket, *, context: ssl.SSLContext | None, timeout_seconds: float
    ) -> "EncoderSocket":
        """Take over an accepted socket. With a TLS context, return after the TLS handshake.

        Raises OSError, which includes TimeoutError and ssl.SSLError. The socket is then closed.
        """
        encoder_socket = cls(is_secure=context is not None)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: encoder_socket,
                accepted,
                ssl=context,
                ssl_handshake_timeout=timeout_seconds if context else None,
                ssl_shutdown_timeout=_FINISH_TIMEOUT_SECONDS if context else None,
            )
        except BaseException:
            accepted.close()
            raise
        return encoder_socket

    @property
    def is_gone(self) -> bool:
        """Whether the encoder closed the connection and all its bytes were read."""
        return self._has_ended and self._start == self._end

    async def read(self) -> bytes:
        """Return the next 1 to READ_BYTES bytes, or b"" at the end of the connection.

        Raises OSError if the connection broke.
        """
        if self._is_behind:
            # The last read left bytes in the buffer. Let the event loop serve the other connections first.
            await asyncio.sleep(0)
        while self._start == self._end:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return b""
            await self._wait()
        # A copy: the event loop writes into the buffer again as soon as its space is free.
        data = bytes(self._buffer[self._start : min(self._end, self._start + READ_BYTES)])
        self._start += len(data)
        self._is_behind = self._start < self._end
        if not self._is_behind:
            self._start = self._end = 0
            self._resume()
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes to be sent. They are dropped if the connection is closed.

        Raises NotReadError if more than 256 KiB wait to be sent.
        """
        transport = self._open_transport()
        if transport is None:
            return
        transport.write(data)
        if not transport.is_closing() and transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            raise NotReadError("the encoder does not read what it is sent")

    async def finish(self) -> None:
        """Send what is queued, then FIN (TLS: close_notify), and wait at most two seconds for the encoder's end."""
        try:
            async with asyncio.timeout(_FINISH_TIMEOUT_SECONDS):
                if not self._is_secure and (transport := self._open_transport()):
                    transport.write_eof()
                    while await self.read():
                        pass
                self._is_dropping = True
                if self._transport is not None:
                    # Over TLS, the transport itself reads until the peer's close_notify.
                    self._transport.close()
                while not self._is_lost:
                    await self._wait()
        except (OSError, TimeoutError):
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once. Queued bytes are lost."""
        if self._transport is not None:
            self._transport.abort()

    def _open_transport(self) -> asyncio.Transport | None:
        """The transport, or None if it is closing: then it may not be paused, resumed or written to."""
        return None if self._transport is None or self._transport.is_closing() else self._transport

    def _resume(self) -> None:
        if self._is_paused and (transport := self._open_transport()):
            self._is_paused = False
            transport.resume_reading()

    async def _wait(self) -> None:
        """Wait for the next protocol callback."""
        self._changed.clear()
        await self._changed.wait()

    # Callbacks of asyncio.BufferedProtocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return _DROPPED if self._is_dropping else self._buffer[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._is_dropping:
            return
        self._end += nbytes
        # The buffer is not a ring: reading stops when its end is reached, and begins anew at position 0 when `read` has
        # emptied it. A receive call therefore always gets one contiguous piece.
        if self._end == BUFFER_BYTES:
            if transport := self._open_transport():
                self._is_paused = True
                transport.pause_reading()
            else:
                # A closing transport cannot be paused, and get_buffer must not return an empty buffer.
                self._is_dropping = True
        self._changed.set()

    def eof_received(self) -> bool:
        """Keep the transport open for answers, except over TLS, which cannot be half closed."""
        self._has_ended = True
        self._changed.set()
        return not self._is_secure

    def connection_lost(self, exc: Exception | None) -> None:
        # Unread bytes stay in the buffer: `read` returns them before it raises the error.
        self._transport = None
        self._has_ended = self._is_lost = True
        self._error = exc
        self._changed.set()


def watch_for_loss(accepted: socket.socket, *, silence_seconds: float) -> None:
    """Let the kernel detect a peer that vanished without a FIN or a reset: by TCP keepalive and TCP_USER_TIMEOUT.

    The timeouts are rounded to whole seconds. Options that the platform lacks are skipped.
    """
    seconds = max(round(silence_seconds), 1)
    with contextlib.suppress(OSError):
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", seconds), ("TCP_KEEPINTVL", max(seconds // 3, 1)), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                accepted.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)
