"""The UDP sockets of an engine: one for each address, all with the same port.

One port carries all connections of the engine, so that an operator opens one port in the firewall. The demultiplexer
tells the connections apart. Sockets are non-blocking and read in batches from the event loop.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, NamedTuple, TypeAlias

import structlog

from stagebook.log_rate_limit import LogRateLimit
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES

DATAGRAMS_PER_WAKE_UP = 64
"""The size of a batch. After it the event loop serves other sockets and timers."""
_SOCKET_BUFFER_SIZE_BYTES = 4 << 20
"""Holds a keyframe to some hundred viewers. The system may grant less."""

Address: TypeAlias = tuple[Any, ...]
"""A socket address as `recvfrom` returns it: (ip, port) for IPv4, (ip, port, flow, scope) for IPv6."""
DatagramReceiver: TypeAlias = Callable[[bytes, Address, float], None]
"""Called with a datagram, the sender's address and the time in monotonic seconds."""

_log = structlog.get_logger(__name__)


class UdpSocket:
    """One bound, non-blocking socket. `sendto(data, address)` is the system socket's own method, for the hot loop."""

    def __init__(self, bind_address: str, port: int, *, scope_id: int = 0, shares_port: bool = False) -> None:
        """Bind the socket. Raises OSError.

        `scope_id` is the interface of a link-local IPv6 address. With `shares_port` the address may be part of the
        wildcard address of another socket that allows it at this moment (`wildcard_socket`).
        """
        family = socket.AF_INET6 if ip_address(bind_address).version == 6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        address = (bind_address, port, 0, scope_id) if scope_id else (bind_address, port)
        try:
            self._socket.settimeout(0)
            if family == socket.AF_INET6:
                # With V6ONLY off, "::" also takes the IPv4 port, and binding "0.0.0.0" beside it would fail.
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Sizes above net.core.rmem_max and wmem_max are cut to them without an error.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_SIZE_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_SIZE_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shares_port)
            self._socket.bind(address)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except OSError:
            self._socket.close()
            raise
        self._log_limit = LogRateLimit(clock=time.monotonic)
        self.sendto: Callable[[memoryview | bytes, Address], int] = self._socket.sendto
        self.port: int = self._socket.getsockname()[1]

    @property
    def system_socket(self) -> socket.socket:
        """The socket of the system, for options."""
        return self._socket

    def send(self, datagram: bytes, address: Address) -> None:
        """Send a datagram. It is lost if the send buffer is full or there is no route: UDP guarantees no delivery."""
        try:
            self.sendto(datagram, address)
        except OSError:
            return

    def start_receiving(
        self, loop: asyncio.AbstractEventLoop, receive: DatagramReceiver, clock: Callable[[], float]
    ) -> None:
        """Call `receive(datagram, address, now)` for each datagram. `clock` is read once for a batch."""
        loop.add_reader(self._socket.fileno(), self._drain, receive, clock)

    def stop_receiving(self, loop: asyncio.AbstractEventLoop) -> None:
        """Undo `start_receiving`."""
        loop.remove_reader(self._socket.fileno())

    def close(self) -> None:
        """Release the port."""
        self._socket.close()

    def _drain(self, receive: DatagramReceiver, clock: Callable[[], float]) -> None:
        recvfrom = self._socket.recvfrom
        # One time for the batch: the datagrams have waited in the receive buffer together, and reading the clock for
        # each would cost more than the difference tells.
        now = clock()
        for _ in range(DATAGRAMS_PER_WAKE_UP):
            try:
                datagram, address = recvfrom(MAX_PACKET_SIZE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                # The system reports an ICMP error of an earlier send here; no datagram was read.
                continue
            self.deliver(receive, datagram, address, now)

    def deliver(self, receive: DatagramReceiver, datagram: bytes, address: Address, now: float) -> None:
        """Call the receiver of a datagram. An exception is logged: one peer must not stop the media of others."""
        try:
            receive(datagram, address, now)
        except Exception:  # noqa: BLE001 - see above
            suppressed = self._log_limit.admit("datagram")
            if suppressed is not None:
                _log.exception("datagram_failed", size_bytes=len(datagram), **suppressed)


class Path(NamedTuple):
    """The way to a peer: our socket that the peer reaches, and the peer's address."""

    socket: UdpSocket
    address: Address

    def send(self, datagram: bytes) -> None:
        """Send a datagram to the peer. It may be lost."""
        self.socket.send(datagram, self.address)
