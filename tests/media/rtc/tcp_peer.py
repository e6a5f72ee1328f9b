"""A raw peer over TCP: its packets travel in frames (RFC 4571) on connections to the engine's passive candidate."""

import asyncio
import socket
from collections import deque
from typing import Final

from stagebook.media.rtc.ice.tcp_framing import FrameReader, write_frames
from tests.media.rtc.raw_peer import WAIT_SECONDS, RawPeer

READ_SIZE_BYTES: Final = 65_536


class TcpPeer(RawPeer):
    """A raw peer whose `socket` is a TCP connection."""

    _received: deque[bytes]
    _opened: tuple[socket.socket, ...] = ()

    async def connect(self, answer: str, port: int) -> None:
        """Connect to the engine's TCP port, and then as RawPeer.connect."""
        self._engine = (self._host, port)
        await self.open_connection()
        await super().connect(answer, port)

    async def open_connection(self) -> None:
        """Open a new connection to the engine. The connection before stays open."""
        self.socket = self._open_socket()
        await asyncio.get_running_loop().sock_connect(self.socket, self._engine)

    async def send_datagram(self, datagram: bytes) -> None:
        """Send a packet in a frame."""
        await self.send_bytes(write_frames([datagram]))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive_datagram(self, timeout_seconds: float = WAIT_SECONDS) -> bytes:
        """Return the next packet. Raises TimeoutError, and EOFError at the end of the connection."""
        async with asyncio.timeout(timeout_seconds):
            while not self._received:
                data = await asyncio.get_running_loop().sock_recv(self.socket, READ_SIZE_BYTES)
                if not data:
                    raise EOFError
                self._received += self._frames.feed(data)
        return self._received.popleft()

    async def wait_for_end(self) -> None:
        """Wait until the engine has closed the connection. Packets before that are dropped."""
        try:
            while True:
                await self.receive_datagram()
        except (EOFError, ConnectionError):
            return

    def close(self) -> None:
        """Close all connections without close_notify."""
        for each in self._opened:
            each.close()

    def _open_socket(self) -> socket.socket:
        self._frames = FrameReader()
        self._received = deque()
        opened = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        opened.setblocking(False)  # noqa: FBT003 - the socket's own signature
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened += (opened,)
        return opened
