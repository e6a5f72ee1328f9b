"""The relay of an encoder's connection to the node that owns the account of its stream key.

The node that the encoder reached learns the stream key with `publish`, when the RTMP handshake and some commands have
been answered. So it sends all bytes of the encoder to the owner from the first one on, and says how many of them it
has answered. The owner processes these as well, and sends no answer to them: the answers would be those that the
encoder already has, since nothing in them is random. From there on the encoder talks to the owner.

    node -> owner   the head of an HTTP request, signed by the node
    owner -> node   101 (Switching Protocols)
    node -> owner   the number of answered bytes, in 4 bytes; these bytes; whatever the encoder sends after them
    owner -> node   what the encoder is sent

Over TLS, the node that the encoder reached decrypts. Both directions are bounded by the buffers of the sockets.
"""

import asyncio
import contextlib
import socket
from typing import Final

import msgspec

from stagebook.media.ingest.encoder_socket import READ_BYTES, EncoderSocket, NotReadError, watch_for_loss

CONNECT_TIMEOUT_SECONDS: Final = 5.0
"""From the connection to the owner to its answer."""
FINISH_SECONDS: Final = 3.0
"""How long the owner may take to send its last answers when the encoder has left."""
COUNT_BYTES: Final = 4
_HEAD_LIMIT_BYTES: Final = 16_384
_SWITCHING: Final = b"HTTP/1.1 101 "


class RelayRefusedError(Exception):
    """The owner does not take the encoder. Nothing was sent to it but the head."""


class RelayTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send a connection: the internal server of the owner, and the signed head of the request."""

    host: str
    port: int
    head: bytes


class AnsweredBytes:
    """Splits what a relayed connection receives into bytes that another node has answered, and the others."""

    def __init__(self) -> None:
        self._count = bytearray()
        self._left_bytes: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether all further bytes are to be answered."""
        return self._left_bytes == 0

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the bytes in `data` that were answered, and those behind them."""
        if self._left_bytes is None:
            missing = COUNT_BYTES - len(self._count)
            self._count += data[:missing]
            data = data[missing:]
            if len(self._count) < COUNT_BYTES:
                return b"", b""
            self._left_bytes = int.from_bytes(self._count, "big")
        answered = data[: self._left_bytes]
        self._left_bytes -= len(answered)
        return answered, data[len(answered) :]


async def relay_encoder(
    encoder: EncoderSocket, target: RelayTarget, *, answered: bytes, silence_seconds: float
) -> None:
    """Connect an encoder with the owner until one of them ends. `answered` is what was received of it.

    Raises RelayRefusedError if the owner cannot be reached or does not take the connection. The caller closes the
    socket of the encoder.
    """
    reader, writer = await _open(target)
    try:
        watch_for_loss(writer.get_extra_info("socket"), silence_seconds=silence_seconds)
        writer.write(len(answered).to_bytes(COUNT_BYTES, "big") + answered)
        up = asyncio.create_task(_send_to_owner(encoder, writer))
        down = asyncio.create_task(_send_to_encoder(reader, encoder))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if not down.done() and up.exception() is None:
                await asyncio.wait((down,), timeout=FINISH_SECONDS)
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
    finally:
        writer.transport.abort()


async def _open(target: RelayTarget) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(target.host, target.port, limit=_HEAD_LIMIT_BYTES)
            try:
                connection: socket.socket = writer.get_extra_info("socket")
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                writer.write(target.head)
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(_SWITCHING):
                    raise RelayRefusedError(head[: head.find(b"\r\n")].decode("latin-1"))
            except BaseException:
                writer.transport.abort()
                raise
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:  # TimeoutError is an OSError
        raise RelayRefusedError(str(error) or type(error).__name__) from error
    return reader, writer


async def _send_to_owner(encoder: EncoderSocket, writer: asyncio.StreamWriter) -> None:
    """Raises OSError if one of the connections breaks."""
    while data := await encoder.read():
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _send_to_encoder(reader: asyncio.StreamReader, encoder: EncoderSocket) -> None:
    with contextlib.suppress(OSError, NotReadError):
        while data := await reader.read(READ_BYTES):
            encoder.write(data)
