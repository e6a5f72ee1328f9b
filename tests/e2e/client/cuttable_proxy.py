"""A TCP proxy between the browser and the server, whose connections a test cuts."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

READ_SIZE_BYTES = 65_536


class CuttableProxy:
    """Forwards connections to a port of 127.0.0.1. While no server listens there, it closes them."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.server_port = _free_port()
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """End all connections without a message of the protocols in them."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        self._writers.add(writer)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            self._writers.discard(writer)
            writer.close()
            return
        self._writers.add(server_writer)
        if writer.is_closing():
            # It was cut meanwhile.
            server_writer.close()
        try:
            await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))
        finally:
            self._writers -= {writer, server_writer}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(READ_SIZE_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def running_proxy() -> AsyncIterator[CuttableProxy]:
    """Run a proxy on a free port of 127.0.0.1."""
    server = await asyncio.start_server(lambda reader, writer: proxy.serve(reader, writer), "127.0.0.1", 0)
    proxy = CuttableProxy(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
