"""The UDP sockets of an engine: one for each address, all with the same port.

One port carries all connections of the engine, so that an operator opens one port in the firewall. The demultiplexer
tells the connections apart. Sockets are non-blocking and read in batches from the event loop.
"""

import asyncio
import errno
import socket
import struct
import sys
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Any, NamedTuple, Protocol, TypeAlias

import structlog

from stagebook.log_rate_limit import LogRateLimit
from stagebook.media.rtc.ice.arrival_times import TIMESTAMP_SIZE_BYTES, enable_arrival_times, waited_seconds
from stagebook.media.rtc.ice.read_rounds import ReadRounds
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES

DATAGRAMS_PER_WAKE_UP = 64
"""The size of a batch. After it the event loop serves other sockets and timers."""
SOCKET_BUFFER_SIZE_BYTES = 4 << 20
"""Holds a keyframe to some hundred viewers. The system may grant less."""

Address: TypeAlias = tuple[Any, ...]
"""A socket address as `recvfrom` returns it: (ip, port) for IPv4, (ip, port, flow, scope) for IPv6."""
DatagramReceiver: TypeAlias = Callable[[bytes, Address, float], None]
"""Called with a datagram, the sender's address and the time in monotonic seconds."""


def _no_connections() -> int:
    return 0


_SOL_UDP = 17
_UDP_SEGMENT = 103
"""Linux's socket option and control message of UDP segmentation offload (GSO; udp(7)). The socket module has no names
for them."""
MAX_SEGMENTS = 64
"""The most datagrams that kernels before 6.9 cut from one buffer."""
_GSO_REFUSALS = frozenset({errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT})
_MAX_REFUSED_ADDRESSES = 1024
_SEGMENT_CONTROLS = [[(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", size))] for size in range(MAX_PACKET_SIZE_BYTES + 1)]
"""The control messages of `sendmsg` for every size of segments."""

_log = structlog.get_logger(__name__)


class UdpSocket:
    """One bound, non-blocking socket. `sendto(data, address)` is the system socket's own method, for the hot loop.

    On Linux 4.18 and later the kernel cuts a buffer into datagrams of one size (GSO), which costs about a third of a
    call for each of them. Whether it does is tried when the socket is made. A path may refuse it all the same: its MTU
    may be smaller than the datagrams (EINVAL), or its interface may not compute checksums (EIO). The datagrams are then
    sent one by one, and so are later ones of the same size to that address.
    """

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
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_SIZE_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_SIZE_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shares_port)
            self._socket.bind(address)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except OSError:
            self._socket.close()
            raise
        self._log_limit = LogRateLimit(clock=time.monotonic)
        self.sendto: Callable[[memoryview | bytes, Address], int] = self._socket.sendto
        self._has_gso = _has_gso(self._socket)
        self._has_arrival_times = False
        self._rounds: ReadRounds | None = None
        self._read_at = 0.0
        """When the socket was read last."""
        self._arrival = b""
        """When the datagram that is being delivered arrived, as the kernel says it, and the time of its batch."""
        self._wall_time = 0.0
        self._refused: dict[Address, int] = {}
        """The smallest size of datagrams for which the kernel refused GSO, by address."""
        self.port: int = self._socket.getsockname()[1]

    @property
    def waited_seconds(self) -> float:
        """How long the datagram that is being delivered has waited in the receive buffer, where the kernel says so."""
        return waited_seconds(self._arrival, self._wall_time)

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

    def send_run(self, data: memoryview, size: int, address: Address) -> int:
        """Send `data` as datagrams of `size` bytes each, of which the last may be smaller, by as few calls as possible.

        At most 64 KiB and MAX_SEGMENTS datagrams. Returns how many datagrams were sent: those for which the send buffer
        has no room, or that have no route, are lost.
        """
        if self._has_gso and (not self._refused or size < self._refused.get(address, MAX_PACKET_SIZE_BYTES + 1)):
            try:
                self._socket.sendmsg((data,), _SEGMENT_CONTROLS[size], 0, address)
            except OSError as error:
                if error.errno not in _GSO_REFUSALS:
                    return 0
                self._refuse(size, address)
            else:
                return -(-len(data) // size)
        sent = 0
        for start in range(0, len(data), size):
            try:
                self.sendto(data[start : start + size], address)
            except OSError:
                continue
            sent += 1
        return sent

    def _refuse(self, size: int, address: Address) -> None:
        if len(self._refused) >= _MAX_REFUSED_ADDRESSES:
            self._refused.clear()
        self._refused[address] = size

    def start_receiving(
        self,
        loop: asyncio.AbstractEventLoop,
        receive: DatagramReceiver,
        clock: Callable[[], float],
        *,
        connections: Callable[[], int] = _no_connections,
    ) -> None:
        """Call `receive(datagram, address, now)` for each datagram.

        `clock` is read once for a batch, and `waited_seconds` has how much earlier a datagram arrived. After a pause
        of `ReadRounds`, `now` is the time of the datagram's arrival instead. `connections` returns the number of
        connections of the engine, which the pauses depend on.
        """
        self._has_arrival_times = enable_arrival_times(self._socket)
        self._rounds = ReadRounds(
            loop,
            self._socket.fileno(),
            read=partial(self._drain, receive, clock),
            max_datagrams=DATAGRAMS_PER_WAKE_UP,
            connections=connections,
        )
        self._rounds.start()

    def stop_receiving(self) -> None:
        """Undo `start_receiving`. No effect before it."""
        if self._rounds is not None:
            self._rounds.stop()
            self._rounds = None

    def close(self) -> None:
        """Release the port."""
        self._socket.close()

    def _drain(self, receive: DatagramReceiver, clock: Callable[[], float], *, after_pause: bool) -> int:
        recvmsg = self._socket.recvmsg
        ancillary_size = TIMESTAMP_SIZE_BYTES if self._has_arrival_times else 0
        # One time for the batch. The time since a datagram arrived is that of the kernel: while the loop is busy, some
        # wait for many milliseconds, which would look like a queue on the path.
        now, self._wall_time = clock(), time.time()
        count, read_before, self._read_at = 0, self._read_at, now
        while count < DATAGRAMS_PER_WAKE_UP:
            try:
                datagram, ancillary, _, address = recvmsg(MAX_PACKET_SIZE_BYTES, ancillary_size)
            except BlockingIOError:
                break
            except OSError:
                # The system reports an ICMP error of an earlier send here; no datagram was read.
                count += 1
                continue
            count += 1
            arrived_at = now
            if ancillary and after_pause:
                # Not before the last read, whatever the system's clock says: time must not run backwards.
                arrived_at = min(now, max(read_before, now - waited_seconds(ancillary[0][2], self._wall_time)))
            elif ancillary:
                self._arrival = ancillary[0][2]
            # As `deliver`, without the call: this runs for each datagram.
            try:
                receive(datagram, address, arrived_at)
            except Exception:  # noqa: BLE001 - see `deliver`
                self._log_failure(datagram)
        self._arrival = b""
        return count

    def deliver(self, receive: DatagramReceiver, datagram: bytes, address: Address, now: float) -> None:
        """Call the receiver of a datagram. An exception is logged: one peer must not stop the media of others."""
        try:
            receive(datagram, address, now)
        except Exception:  # noqa: BLE001 - see above
            self._log_failure(datagram)

    def _log_failure(self, datagram: bytes) -> None:
        """Log the exception that is being handled."""
        suppressed = self._log_limit.admit("datagram")
        if suppressed is not None:
            _log.exception("datagram_failed", size_bytes=len(datagram), **suppressed)


def _has_gso(udp_socket: socket.socket) -> bool:
    """Whether the kernel knows UDP segmentation offload."""
    if sys.platform != "linux":
        return False
    try:
        udp_socket.getsockopt(_SOL_UDP, _UDP_SEGMENT)
    except OSError:
        return False
    return True


class MediaSocket(Protocol):
    """What a path sends on: a UDP socket, or the TCP connection of one peer (`tcp_connection`)."""

    @property
    def sendto(self) -> Callable[[memoryview | bytes, Address], int]:
        """Send a datagram, for the hot loop. Raises OSError if it cannot be sent; it is lost then."""

    @property
    def send_run(self) -> Callable[[memoryview, int, Address], int]:
        """Send the datagrams of a buffer, all of one size but the last, for the hot loop. Returns how many are sent."""

    def send(self, datagram: bytes, address: Address) -> None:
        """Send a datagram. It may be lost."""

    @property
    def waited_seconds(self) -> float:
        """How long the datagram that is being delivered has waited for this process."""


class Path(NamedTuple):
    """The way to a peer: our socket that the peer reaches, and the peer's address."""

    socket: MediaSocket
    address: Address

    def send(self, datagram: bytes) -> None:
        """Send a datagram to the peer. It may be lost."""
        self.socket.send(datagram, self.address)
