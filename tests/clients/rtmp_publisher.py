"""An RTMP and RTMPS client that publishes, and that can violate the protocol.

    async with RtmpPublisher("127.0.0.1", port) as encoder:      # TCP or TLS, and the handshake
        await encoder.publish("the-key")                         # connect, createStream, publish; raises RefusedError
        await encoder.video(0, flv_video_tag_body)
        await encoder.audio(0, flv_audio_tag_body)
        await encoder.raw(b"garbage")
        status = await encoder.status()                          # the next onStatus: its level, code, description
        await encoder.closed()                                   # the server ended the connection

Leaving the block aborts the connection, as if the encoder had lost its network. `unpublish` ends the stream cleanly.
"""

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from stagebook.media.rtmp.amf0 import Amf0Value, EcmaArray, write_values
from stagebook.media.rtmp.chunk_reader import ChunkReader
from stagebook.media.rtmp.chunk_writer import write_message
from stagebook.media.rtmp.command_messages import CommandMessage, read_command
from stagebook.media.rtmp.handshake import PACKET_BYTES
from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

TIMEOUT_SECONDS = 20
_LIMITS = RtmpLimits()
_DATA_AMF0 = 18


class RefusedError(Exception):
    """The server replied with `_error` or an `onStatus` of level error, with this `code` and `description`."""

    def __init__(self, information: Mapping[str, Amf0Value]) -> None:
        self.code = information.get("code")
        self.description = information.get("description")
        super().__init__(f"{self.code}: {self.description}")


class RtmpPublisher:
    """An RTMP connection.

    Every method that waits raises TimeoutError after TIMEOUT_SECONDS, and EOFError or ConnectionError if the server
    closes the connection.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        chunk_bytes: int = 4096,
        local_host: str | None = None,
    ) -> None:
        """Prepare a connection to the server. `chunk_bytes` is the chunk size after `connect`; before, it is 128.

        `local_host` is the address of the client.
        """
        self._local_address = None if local_host is None else (local_host, 0)
        self._address = (host, port)
        self._tls = tls
        self._connected_chunk_bytes = chunk_bytes
        self._chunk_bytes = 128
        self._chunks = ChunkReader(_LIMITS)
        self._commands: deque[CommandMessage] = deque()
        self._transaction_id = 0
        self._stream_id = 0

    async def __aenter__(self) -> Self:
        host, port = self._address
        async with asyncio.timeout(TIMEOUT_SECONDS):
            self._reader, self._writer = await asyncio.open_connection(
                host, port, ssl=self._tls, local_addr=self._local_address
            )
            try:
                await self._handshake()
            except BaseException:
                self._writer.close()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.transport.abort()

    async def publish(self, stream_key: str, *, app: str = "app") -> None:
        """Send `connect`, `createStream` and `publish`; return when the server has accepted. Raises RefusedError."""
        await self.connect(app)
        await self.create_stream()
        await self.ask_to_publish(stream_key)
        information = await self.status()
        if information.get("code") != "NetStream.Publish.Start":
            raise RefusedError(information)

    async def connect(self, app: str = "app", **properties: Amf0Value) -> Mapping[str, Amf0Value]:
        """Send `connect`; return the information object of the reply. Raises RefusedError."""
        host, port = self._address
        scheme = "rtmps" if self._tls else "rtmp"
        command_object = {"app": app, "type": "nonprivate", "tcUrl": f"{scheme}://{host}:{port}/{app}", **properties}
        reply = await self.call("connect", command_object)
        await self.message(MessageType.SET_CHUNK_SIZE, self._connected_chunk_bytes.to_bytes(4), chunk_stream_id=2)
        self._chunk_bytes = self._connected_chunk_bytes
        return _information(reply)

    async def create_stream(self) -> int:
        """Send `createStream`; return the message stream id in the reply. Raises RefusedError."""
        stream_id = (await self.call("createStream", None)).arguments[1]
        assert isinstance(stream_id, float)
        self._stream_id = int(stream_id)
        return self._stream_id

    async def ask_to_publish(self, stream_key: str) -> None:
        """Send `publish` without waiting. `status` returns the reply."""
        await self.command("publish", None, stream_key, "live", stream_id=self._stream_id)

    async def unpublish(self) -> None:
        """End the stream cleanly: send `FCUnpublish` and `deleteStream`."""
        await self.command("FCUnpublish", None, "")
        await self.command("deleteStream", None, float(self._stream_id))

    async def video(self, timestamp_ms: int, body: bytes) -> None:
        """Send the body of an FLV video tag."""
        await self.message(MessageType.VIDEO, body, chunk_stream_id=6, timestamp_ms=timestamp_ms)

    async def audio(self, timestamp_ms: int, body: bytes) -> None:
        """Send the body of an FLV audio tag."""
        await self.message(MessageType.AUDIO, body, chunk_stream_id=4, timestamp_ms=timestamp_ms)

    async def metadata(self, values: Mapping[str, Amf0Value]) -> None:
        """Send `onMetaData`."""
        body = write_values("@setDataFrame", "onMetaData", EcmaArray(values))
        await self.message(_DATA_AMF0, body, chunk_stream_id=4)

    async def message(
        self, type_id: int, body: bytes, *, chunk_stream_id: int, timestamp_ms: int = 0, stream_id: int | None = None
    ) -> None:
        """Send a message, by default on the message stream of the publication.

        Raises ConnectionError if the server has closed the connection.
        """
        message = Message(type_id, self._stream_id if stream_id is None else stream_id, timestamp_ms % 2**32, body)
        await self.raw(write_message(message, chunk_stream_id=chunk_stream_id, chunk_bytes=self._chunk_bytes))

    async def command(self, name: str, *arguments: Amf0Value, stream_id: int = 0, transaction_id: float = 0) -> None:
        """Send a command without waiting for a reply."""
        body = write_values(name, transaction_id, *arguments)
        await self.message(MessageType.COMMAND_AMF0, body, chunk_stream_id=3, stream_id=stream_id)

    async def call(self, name: str, *arguments: Amf0Value) -> CommandMessage:
        """Send a command; return its `_result`. Raises RefusedError."""
        self._transaction_id += 1
        await self.command(name, *arguments, transaction_id=self._transaction_id)
        reply = await self._next_command("_result", "_error")
        if reply.name == "_error":
            raise RefusedError(_information(reply))
        return reply

    async def raw(self, data: bytes) -> None:
        """Send bytes unchanged."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            self._writer.write(data)
            await self._writer.drain()

    def reset(self) -> None:
        """Reset the connection: data that was already sent arrives, followed by a TCP RST."""
        linger_for_zero_seconds = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_zero_seconds)
        self._writer.transport.abort()

    async def status(self) -> Mapping[str, Amf0Value]:
        """Return the information object of the next `onStatus`: `level`, `code` and `description`."""
        return _information(await self._next_command("onStatus"))

    async def closed(self) -> None:
        """Wait until the server has closed the connection. Discard the data it sends before."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            try:
                while await self._reader.read(65536):
                    pass
            except ConnectionError:
                pass

    async def _handshake(self) -> None:
        self._writer.write(b"\x03" + bytes(PACKET_BYTES))
        reply = await self._reader.readexactly(1 + 2 * PACKET_BYTES)
        self._writer.write(reply[1 : 1 + PACKET_BYTES])

    async def _next_command(self, *names: str) -> CommandMessage:
        """Return the next command with one of the names. Other commands and messages are discarded."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                while self._commands:
                    command = self._commands.popleft()
                    if command.name in names:
                        return command
                data = await self._reader.read(65536)
                if not data:
                    raise EOFError(f"the server closed the connection; expected {' or '.join(names)}")
                for message in self._chunks.receive(data):
                    if message.type_id == MessageType.COMMAND_AMF0:
                        self._commands.append(read_command(message, _LIMITS))


def _information(command: CommandMessage) -> Mapping[str, Amf0Value]:
    information = command.arguments[1]
    assert isinstance(information, Mapping)
    return information
