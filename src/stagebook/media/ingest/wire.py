"""One TCP connection of an encoder, with or without TLS: read in fair pieces, written within a bound, ended without
loss. Knows no RTMP."""

import asyncio
import contextlib
import socket
import ssl
from typing import Final

READ_BYTES: Final = 16 << 10
"""What one connection may have worked on before the others have their turn, however fast it sends."""
_MAX_WAITING_BYTES: Final = 256 << 10
"""What waits for an encoder that does not read; all it is ever sent is much less."""
_FINISH_SECONDS: Final = 2.0
"""How long an encoder has to read the last words and to close its own end."""


class NotReadError(Exception):
    """The encoder does not read what it is sent."""


class Wire:
    """An accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_secure: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._is_secure = is_secure
        self._is_behind = False

    @classmethod
    async def open(cls, accepted: socket.socket, *, context: ssl.SSLContext | None, timeout_seconds: float) -> "Wire":
        """Take over an accepted socket; with a TLS context after its handshake. Raises OSError (TimeoutError too)."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=context,
                ssl_handshake_timeout=timeout_seconds if context else None,
                ssl_shutdown_timeout=_FINISH_SECONDS if context else None,
            )
        except BaseException:
            accepted.close()
            raise
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return cls(reader, writer, is_secure=context is not None)

    async def read(self) -> bytes:
        """The next bytes, READ_BYTES at most; none at the end. Raises OSError."""
        if self._is_behind:
            await asyncio.sleep(0)
        data = await self._reader.read(READ_BYTES)
        self._is_behind = len(data) == READ_BYTES
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes. Raises NotReadError."""
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > _MAX_WAITING_BYTES:
            raise NotReadError("the encoder does not read what it is sent")

    @property
    def is_gone(self) -> bool:
        """Whether the encoder has ended the connection, and everything it sent was read."""
        return self._reader.at_eof() or self._reader.exception() is not None

    async def finish(self) -> None:
        """Send what is queued and then the end, and give the encoder a moment to read it.

        What it still sends is read into the void: a socket that is closed with unread bytes in it sends a reset
        (RFC 1122 section 4.2.2.13), which makes the other end forget what it was told last.
        """
        try:
            async with asyncio.timeout(_FINISH_SECONDS):
                if self._is_secure:
                    self._writer.close()  # sends close_notify after what is queued, and reads into the void
                else:
                    await self._send_end()
                    self._writer.close()
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass
        finally:
            self.abort()

    async def _send_end(self) -> None:
        self._writer.transport.set_write_buffer_limits(high=0)
        await self._writer.drain()
        self._writer.write_eof()
        while await self._reader.read(READ_BYTES):
            pass

    def abort(self) -> None:
        """Close at once."""
        self._writer.transport.abort()


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
