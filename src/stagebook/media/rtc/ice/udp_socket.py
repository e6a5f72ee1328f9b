"""The engine's UDP sockets: one for each bind address, all on one port. Knows nothing of the bytes."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import NamedTuple, TypeAlias

import structlog

from stagebook.media.rtc.sfu.down_track import Address
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES

DATAGRAMS_PER_WAKE_UP = 64
"""Then the event loop gets its turn for other sockets and timers."""
_SOCKET_BUFFER_SIZE_BYTES = 4 << 20
"""Holds a keyframe to some hundred viewers; the system may grant less."""

Receive: TypeAlias = Callable[[bytes, Address, float], None]

_log = structlog.get_logger(__name__)


class UdpSocket:
    """One bound, non-blocking socket. `sendto(data, address)` is the socket's own method, for the hot loop."""

    def __init__(self, bind_address: str, port: int) -> None:
        """Bind. Raises OSError."""
        family = socket.AF_INET6 if ip_address(bind_address).version == 6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.settimeout(0)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_SIZE_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_SIZE_BYTES)
            self._socket.bind((bind_address, port))
        except OSError:
            self._socket.close()
            raise
        self.sendto: Callable[[memoryview | bytes, Address], int] = self._socket.sendto
        self.port: int = self._socket.getsockname()[1]

    def send(self, datagram: bytes, address: Address) -> None:
        """Send, and lose the datagram if the buffer is full or there is no route: UDP promises no more."""
        try:
            self.sendto(datagram, address)
        except OSError:
            return

    def listen(self, loop: asyncio.AbstractEventLoop, receive: Receive, clock: Callable[[], float]) -> None:
        """Call `receive(datagram, address, now)` for all that comes; `clock` is read once for a batch."""
        loop.add_reader(self._socket.fileno(), self._drain, receive, clock)

    def ignore(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen no more."""
        loop.remove_reader(self._socket.fileno())

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    def _drain(self, receive: Receive, clock: Callable[[], float]) -> None:
        recvfrom = self._socket.recvfrom
        now = clock()
        for _ in range(DATAGRAMS_PER_WAKE_UP):
            try:
                datagram, address = recvfrom(MAX_PACKET_SIZE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error of an earlier send: nothing was received.
                continue
            try:
                receive(datagram, address, now)
            except Exception:  # noqa: BLE001 - a fault of ours with one peer must not stop the media of all others
                _log.exception("datagram_failed", size_bytes=len(datagram))


class Path(NamedTuple):
    """Where a peer is: the socket of ours that it reaches, and its address."""

    socket: UdpSocket
    address: Address

    def send(self, datagram: bytes) -> None:
        """Send to the peer."""
        self.socket.send(datagram, self.address)


def bind_all(bind_addresses: Sequence[str], port: int) -> list[UdpSocket]:
    """Bind every address to one port; with port 0 the system chooses for the first. Raises OSError, with all closed."""
    sockets: list[UdpSocket] = []
    try:
        for bind_address in bind_addresses:
            sockets.append(UdpSocket(bind_address, port))
            port = sockets[0].port
    except OSError:
        for bound in sockets:
            bound.close()
        raise
    return sockets
