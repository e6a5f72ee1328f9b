"""The TCP connections of one engine: accept them, verify each by its first check, and find the engine that it is for.

Anybody can connect, so a connection has to prove itself at once. Its first packet must be a connectivity check with the
right password, within FIRST_CHECK_SECONDS; otherwise it is closed. Honest clients have the answer with the password
before they connect, and send the check as soon as they are connected. What a stranger can cost is bounded:

* accepts per second, in all and for one network (`client_network`);
* connections that wait for their first check, in all and for one network. At the limit of all, the oldest one of the
  network with the most of them makes room, so that one client cannot keep the others out;
* one HMAC for each connection;
* verified connections in all (`verified_connections`).

After its first check a connection is a route of a peer like an address of UDP, with the same limits (`demultiplexer`).
It is closed when it has no route any more, because the peer's connection has ended or has MAX_ADDRESSES_PER_CONNECTION
newer ones, and when nothing has come for IDLE_SECONDS. Consent to send over it has expired by then (`ice_lite`).

All engine processes accept on the same sockets. If the first check names a fragment of another engine (`ice.ufrag`),
the connection is handed over to it.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from stagebook.client_network import network_of
from stagebook.log_rate_limit import LogRateLimit
from stagebook.media.rtc.ice.stun import parse_binding_request
from stagebook.media.rtc.ice.tcp_connection import TcpConnection
from stagebook.media.rtc.ice.tcp_framing import write_frames
from stagebook.media.rtc.ice.ufrag import engine_of
from stagebook.media.rtc.transport.demultiplexer import Demultiplexer, UfragTable
from stagebook.media.rtc.transport.tcp_handover import TcpHandover
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics
from stagebook.media.rtc.transport.verified_connections import VerifiedConnections

MAX_ACCEPTS_AT_ONCE: Final = 16
"""After that the event loop serves other sockets and timers."""
MAX_ACCEPTS_PER_SECOND: Final = 1_000
"""Each takes less than 0.1 ms. The others wait in the accept queues of the system."""
MAX_ACCEPTS_PER_NETWORK: Final = 64
"""Connections of one network in one second. A client opens one for each pair of its addresses and ours."""
MAX_UNVERIFIED: Final = 512
MAX_UNVERIFIED_PER_NETWORK: Final = 64
FIRST_CHECK_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 60.0
"""A browser checks a pair that it keeps in reserve every 25 seconds."""

_log = structlog.get_logger(__name__)


class TcpSockets(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine needs to serve TCP. It closes none of the sockets."""

    listeners: Sequence[socket.socket]
    """Listening, non-blocking sockets, all with the same port."""
    handover: TcpHandover | None = None
    """The way to the other engines. None for an engine that is the only one."""


class _Accepted:
    """One open connection."""

    def __init__(self, connection: TcpConnection, demultiplexer: Demultiplexer, *, was_handed_over: bool) -> None:
        self.connection = connection
        self.demultiplexer = demultiplexer
        self.network = network_of(str(connection.address[0]))
        self.opened_at = connection.received_at
        self.was_handed_over = was_handed_over


class TcpConnections:
    """The TCP connections of one engine. All methods are called on the thread of its event loop."""

    def __init__(
        self,
        sockets: TcpSockets,
        *,
        engine_number: int,
        max_verified: int,
        ufrags: UfragTable,
        statistics: TransportStatistics,
        clock: Callable[[], float],
    ) -> None:
        """`max_verified` is the number of connections with a verified check that may be open. `clock` returns monotonic
        seconds."""
        self._sockets = sockets
        self._engine_number = engine_number
        self._ufrags = ufrags
        self._statistics = statistics
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unverified: dict[TcpConnection, _Accepted] = {}
        self._unverified_of: Counter[str] = Counter()
        self._verified: VerifiedConnections[_Accepted] = VerifiedConnections(max_verified)
        self._accepts = 0
        self._accepts_of: Counter[str] = Counter()
        self._is_accepting = False
        self._dropped_of_ended = 0
        """Packets that connections dropped which have ended."""
        self._log_limit = LogRateLimit(clock=time.monotonic)

    def __len__(self) -> int:
        """The number of open connections."""
        return len(self._unverified) + len(self._verified)

    @property
    def port(self) -> int:
        """The port of the listening sockets."""
        return int(self._sockets.listeners[0].getsockname()[1])

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Accept connections from now on."""
        self._loop = loop
        self._resume_accepting()
        if self._sockets.handover is not None:
            self._sockets.handover.start(loop, self._take_over)

    def stop(self) -> None:
        """Accept no more connections, and close all."""
        self._pause_accepting()
        if self._loop is not None and self._sockets.handover is not None:
            self._sockets.handover.stop(self._loop)
        for accepted in (*self._unverified.values(), *self._verified.entries()):
            self._close(accepted)

    def each_second(self) -> None:
        """Renew the limits of a second, and close the connections whose time is over."""
        now = self._clock()
        self._accepts = 0
        self._accepts_of.clear()
        for accepted in list(self._unverified.values()):
            if now - accepted.opened_at > FIRST_CHECK_SECONDS:
                self._refuse(accepted)
        for accepted in self._verified.entries():
            accepted.demultiplexer.reset_rate_limits()
            accepted.connection.renew_allowance()
            if self._is_over(accepted, now):
                self._close(accepted)
        dropped = sum(connection.dropped_packets for connection in self._verified)
        self._statistics.dropped_tcp_packets = self._dropped_of_ended + dropped
        self._resume_accepting()

    @staticmethod
    def _is_over(accepted: _Accepted, now: float) -> bool:
        """Whether a verified connection is of no more use."""
        return accepted.demultiplexer.routed_peer is None or now - accepted.connection.received_at > IDLE_SECONDS

    # Accept

    def _resume_accepting(self) -> None:
        if self._loop is not None and not self._is_accepting:
            self._is_accepting = True
            for listener in self._sockets.listeners:
                self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _pause_accepting(self) -> None:
        if self._loop is not None and self._is_accepting:
            self._is_accepting = False
            for listener in self._sockets.listeners:
                self._loop.remove_reader(listener.fileno())

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(MAX_ACCEPTS_AT_ONCE):
            if self._accepts >= MAX_ACCEPTS_PER_SECOND:
                self._pause_accepting()
                return
            try:
                accepted, address = listener.accept()
            except BlockingIOError:
                # Another engine has accepted it.
                return
            except ConnectionError:
                continue
            except OSError as error:
                # No free file descriptors. Without the pause this would be a busy loop.
                self._log_limited("cannot accept a TCP connection of media", detail=error.strerror)
                self._pause_accepting()
                return
            self._accepts += 1
            self._admit(accepted, network_of(str(address[0])))

    def _admit(self, accepted: socket.socket, network: str) -> None:
        """Open an accepted connection that is within the limits; close another one."""
        self._accepts_of[network] += 1
        if (
            self._accepts_of[network] > MAX_ACCEPTS_PER_NETWORK
            or self._unverified_of[network] >= MAX_UNVERIFIED_PER_NETWORK
        ):
            self._statistics.refused_tcp_connections += 1
            accepted.close()
            self._log_limited("TCP connection of media refused", network=network)
            return
        self._make_room()
        self._open(accepted, b"", was_handed_over=False)

    def _make_room(self) -> None:
        """At the limit, close the oldest unverified connection of the network with the most of them."""
        if len(self._unverified) >= MAX_UNVERIFIED:
            (network, _), *_ = self._unverified_of.most_common(1)
            self._refuse(next(each for each in self._unverified.values() if each.network == network))

    def _take_over(self, data: bytes, accepted: socket.socket) -> None:
        """Open a connection that another engine has accepted, and from which it has read `data`."""
        self._make_room()
        self._open(accepted, data, was_handed_over=True)

    def _open(self, accepted: socket.socket, data: bytes, *, was_handed_over: bool) -> None:
        assert self._loop is not None  # noqa: S101 - for mypy; `start` has set it
        try:
            connection = TcpConnection(
                accepted, loop=self._loop, clock=self._clock, on_frames=self._receive, on_ended=self._forget
            )
        except OSError:
            # The peer has already ended it.
            accepted.close()
            return
        demultiplexer = Demultiplexer(connection, self._ufrags, self._statistics)
        opened = _Accepted(connection, demultiplexer, was_handed_over=was_handed_over)
        self._unverified[connection] = opened
        self._unverified_of[opened.network] += 1
        connection.start(data)

    # Receive

    def _receive(self, connection: TcpConnection, packets: list[bytes], now: float) -> None:
        accepted = self._verified.get(connection)
        if accepted is None:
            accepted = self._unverified[connection]
            if not self._verify(accepted, packets, now):
                return
            packets = packets[1:]
        demultiplexer, address = accepted.demultiplexer, connection.address
        for packet in packets:
            self._deliver(demultiplexer, packet, address, now)

    def _verify(self, accepted: _Accepted, packets: list[bytes], now: float) -> bool:
        """Take the first packet of a connection. Return whether it proves that the peer has an answer of this engine.

        Otherwise the connection is closed, or handed over to the engine that the packet names.
        """
        request = parse_binding_request(packets[0])
        owner = None if request is None else engine_of(request.local_ufrag)
        if owner is not None and owner != self._engine_number:
            self._hand_over(accepted, owner, packets)
            return False
        self._deliver(accepted.demultiplexer, packets[0], accepted.connection.address, now)
        peer = accepted.demultiplexer.routed_peer
        if peer is None:
            self._refuse(accepted)
            return False
        self._remove_unverified(accepted)
        self._statistics.verified_tcp_connections += 1
        expendable = self._verified.add(accepted.connection, accepted, peer)
        if expendable is not None:
            self._refuse(expendable)
        return expendable is not accepted

    def _hand_over(self, accepted: _Accepted, owner: int, packets: list[bytes]) -> None:
        handover = None if accepted.was_handed_over else self._sockets.handover
        data = write_frames(packets) + accepted.connection.rest()
        if handover is None:
            self._refuse(accepted)
            return
        self._remove_unverified(accepted)
        with accepted.connection.detach() as detached:
            if not handover.send(owner, data, detached):
                self._statistics.refused_tcp_connections += 1

    def _deliver(self, demultiplexer: Demultiplexer, packet: bytes, address: tuple[object, ...], now: float) -> None:
        """Deliver a packet. An exception is logged: one peer must not stop the media of others."""
        try:
            demultiplexer.receive(packet, address, now)
        except Exception:  # noqa: BLE001 - see above
            self._log_limited("a packet over TCP failed", exc_info=True)

    # The end

    def _refuse(self, accepted: _Accepted) -> None:
        """Close a connection that has not proved itself, or is one too many."""
        self._statistics.refused_tcp_connections += 1
        self._close(accepted)

    def _close(self, accepted: _Accepted) -> None:
        accepted.connection.close()
        self._forget(accepted.connection)

    def _forget(self, connection: TcpConnection) -> None:
        """A connection has ended."""
        accepted = self._verified.pop(connection)
        if accepted is None:
            accepted = self._unverified.get(connection)
            if accepted is not None:
                self._remove_unverified(accepted)
            return
        self._dropped_of_ended += connection.dropped_packets
        accepted.demultiplexer.close()

    def _remove_unverified(self, accepted: _Accepted) -> None:
        del self._unverified[accepted.connection]
        self._unverified_of[accepted.network] -= 1
        if not self._unverified_of[accepted.network]:
            del self._unverified_of[accepted.network]

    def _log_limited(self, message: str, **fields: object) -> None:
        """Log a line that any client can cause."""
        if (more := self._log_limit.admit(message)) is not None:
            _log.warning(message, **fields, **more)
