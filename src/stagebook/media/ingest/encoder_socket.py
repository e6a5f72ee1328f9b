"""One TCP connection of an encoder, with or without TLS: read in fair pieces, written within a bound, ended without
loss. Knows no RTMP."""

import asyncio
import contextlib
import socket
import ssl
from typing import Final, cast

READ_BYTES: Final = 16 << 10
"""What one connection may have worked on before the others have their turn, however fast it sends."""
_MAX_UNREAD_BYTES: Final = 64 << 10
"""What is taken from the socket ahead of its turn."""
_MAX_WAITING_BYTES: Final = 256 << 10
"""What waits for an encoder that does not read; all it is ever sent is much less."""
_FINISH_SECONDS: Final = 2.0
"""How long an encoder has to read the last words and to close its own end."""


class NotReadError(Exception):
    """The encoder does not read what it is sent."""


class EncoderSocket(asyncio.Protocol):
    """An accepted connection. What came before its end is read before the end is, a reset too: encoders say goodbye and
    close without reading what they were told, and that is a reset (RFC 1122 section 4.2.2.13)."""

    def __init__(self, *, is_secure: bool) -> None:
        self._is_secure = is_secure
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._has_ended = self._is_lost = self._is_behind = self._is_paused = False
        self._error: Exception | None = None
        self._something_happened = asyncio.Event()

    @classmethod
    async def open(
        cls, accepted: socket.socket, *, context: ssl.SSLContext | None, timeout_seconds: float
    ) -> "EncoderSocket":
        """Take over an accepted socket; with a TLS context after its handshake. Raises OSError (TimeoutError too)."""
        wire = cls(is_secure=context is not None)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: wire,
                accepted,
                ssl=context,
                ssl_handshake_timeout=timeout_seconds if context else None,
                ssl_shutdown_timeout=_FINISH_SECONDS if context else None,
            )
        except BaseException:
            accepted.close()
            raise
        return wire

    @property
    def is_gone(self) -> bool:
        """Whether the encoder has ended the connection, and everything it sent was read."""
        return self._has_ended and not self._unread

    async def read(self) -> bytes:
        """The next bytes, READ_BYTES at most; none at the end. Raises OSError."""
        if self._is_behind:
            await asyncio.sleep(0)
        while not self._unread:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return b""
            await self._wait()
        data = bytes(self._unread[:READ_BYTES])
        del self._unread[:READ_BYTES]
        self._is_behind = bool(self._unread)
        if self._is_paused and not self._is_behind and (transport := self._usable()):
            self._is_paused = False
            transport.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes. Raises NotReadError. After the end of the connection nothing is sent, which is fine."""
        transport = self._usable()
        if transport is None:
            return
        transport.write(data)
        if not transport.is_closing() and transport.get_write_buffer_size() > _MAX_WAITING_BYTES:
            raise NotReadError("the encoder does not read what it is sent")

    async def finish(self) -> None:
        """Send what is queued and then the end, and give the encoder a moment to read it.

        What it still sends is read into the void: a socket that is closed with unread bytes in it sends a reset
        (RFC 1122 section 4.2.2.13), which makes the other end forget what it was told last.
        """
        try:
            async with asyncio.timeout(_FINISH_SECONDS):
                if not self._is_secure and (transport := self._usable()):
                    transport.write_eof()  # after what is queued
                    while await self.read():
                        pass
                if self._transport is not None:
                    self._transport.close()  # TLS reads into the void by itself, and sends close_notify
                while not self._is_lost:
                    await self._wait()
        except (OSError, TimeoutError):
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _usable(self) -> asyncio.Transport | None:
        """The transport, unless it is closed or will be in this turn of the loop: then it takes no orders."""
        return None if self._transport is None or self._transport.is_closing() else self._transport

    async def _wait(self) -> None:
        self._something_happened.clear()
        await self._something_happened.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio.Protocol, like all that follow."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep the bytes, and have the socket wait when they are many."""
        self._unread += data
        if len(self._unread) > _MAX_UNREAD_BYTES and not self._is_paused and (transport := self._usable()):
            self._is_paused = True
            transport.pause_reading()
        self._something_happened.set()

    def eof_received(self) -> bool:
        """The encoder sends nothing more. It can still be told something, except over TLS."""
        self._has_ended = True
        self._something_happened.set()
        return not self._is_secure

    def connection_lost(self, exc: Exception | None) -> None:
        """Both directions are closed."""
        self._transport = None
        self._has_ended = self._is_lost = True
        self._error = exc
        self._something_happened.set()


def watch_for_loss(accepted: socket.socket, *, silence_seconds: float) -> None:
    """Let the kernel notice a peer that is gone without a word, where it can. Its own clock is coarse: seconds."""
    seconds = max(round(silence_seconds), 1)
    with contextlib.suppress(OSError):
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", seconds), ("TCP_KEEPINTVL", max(seconds // 3, 1)), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                accepted.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)
