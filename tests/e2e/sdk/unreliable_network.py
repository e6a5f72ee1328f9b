"""A network between the tabs and a server that can be cut: while it is, all that is sent is lost or waits.

The tabs reach the server by another loopback address, at the same ports. TCP connections stay open without the other
side, and what was sent meanwhile arrives afterwards, as by retransmission. Datagrams are dropped. Like a NAT, the
network gives each peer a UDP port of its own towards the server. It runs in a thread, as some clients of the server
block the event loop of the tests.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.e2e.server import RunningServer, run_server

NEAR = "127.0.0.2"
"""The address at which tabs reach the server."""
FAR = "127.0.0.1"
"""The address of the server."""

_CHUNK_SIZE_BYTES = 65_536


class UnreliableNetwork:
    """A network for one server. `port` is that of HTTP, `media_port` that of media."""

    def __init__(self) -> None:
        self.port = self.media_port = 0
        self.has_opened = threading.Event()
        self._is_up = asyncio.Event()
        self._is_up.set()
        self._ended = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop

    @property
    def is_up(self) -> bool:
        """Whether anything passes."""
        return self._is_up.is_set()

    async def run(self) -> None:
        """Bind free ports, and pass on what arrives until `end`."""
        loop = self._loop = asyncio.get_running_loop()
        relay = _MediaRelay(self)
        listener = await asyncio.start_server(self._accept, NEAR, 0)
        transport, _ = await loop.create_datagram_endpoint(lambda: relay, local_addr=(NEAR, 0))
        self.port = listener.sockets[0].getsockname()[1]
        self.media_port = transport.get_extra_info("sockname")[1]
        self.has_opened.set()
        await self._ended.wait()
        listener.close()
        relay.close()

    def cut(self) -> None:
        """Let nothing pass. This and the following methods can be called in any thread."""
        self._loop.call_soon_threadsafe(self._is_up.clear)

    def restore(self) -> None:
        """Let everything pass again."""
        self._loop.call_soon_threadsafe(self._is_up.set)

    def end(self) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a TCP connection of a tab to the server."""
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(FAR, self.port)
            writers.append(far_writer)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:
            writer.close()
        except asyncio.CancelledError:
            # The network ends. A socket that still has something to send would stay open.
            for each in writers:
                each.transport.abort()
            raise

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK_SIZE_BYTES):
                await self._is_up.wait()
                writer.write(data)
                await writer.drain()
            await self._is_up.wait()
        except OSError:
            pass
        finally:
            writer.close()


class _MediaRelay(asyncio.DatagramProtocol):
    """The datagrams of all tabs."""

    def __init__(self, network: UnreliableNetwork) -> None:
        self._network = network
        self._ways: dict[tuple[str, int], asyncio.Task[asyncio.DatagramTransport]] = {}
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio declares another type than it passes
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Pass a datagram of a peer on to the server, by a socket for this peer."""
        if self._network.is_up:
            if address not in self._ways:
                self._ways[address] = asyncio.create_task(self._open_way(address))
            self._ways[address].add_done_callback(lambda way: way.result().sendto(data))

    def close(self) -> None:
        """Close all sockets."""
        self._transport.close()
        for way in self._ways.values():
            way.add_done_callback(lambda way: way.result().close())

    async def _open_way(self, address: tuple[str, int]) -> asyncio.DatagramTransport:
        def back(data: bytes) -> None:
            if self._network.is_up:
                self._transport.sendto(data, address)

        server = (FAR, self._network.media_port)
        way, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Way(back), remote_addr=server)
        return way


class _Way(asyncio.DatagramProtocol):
    """A socket towards the server, of one peer."""

    def __init__(self, back: Callable[[bytes], None]) -> None:
        self._back = back

    def datagram_received(self, data: bytes, _address: tuple[str, int]) -> None:
        self._back(data)


@contextlib.contextmanager
def unreliable_server(data: Path) -> Iterator[tuple[RunningServer, UnreliableNetwork]]:
    """Run a server that tabs reach by a network that can be cut. Sessions stay open for a minute."""
    network = UnreliableNetwork()
    thread = threading.Thread(target=lambda: asyncio.run(network.run()))
    thread.start()
    network.has_opened.wait()
    try:
        with run_server(
            data,
            listen=f"{FAR}:{network.port}",
            public_url=f"http://{NEAR}:{network.port}",
            media_announce=NEAR,
            media_bind=FAR,
            media_port=str(network.media_port),
            media_tcp="false",
            session_linger_seconds="60",
            websocket_ping_seconds="5",  # the end of a websocket is noticed 15 to 20 s after the loss
        ) as server:
            yield server, network
    finally:
        network.restore()
        network.end()
        thread.join()
