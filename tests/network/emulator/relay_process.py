"""The process of the relays: a blocking loop over sockets and times, with the precision of the kernel's timers.

`python -m tests.network.emulator.relay_process` reads commands (`relay_commands`) from standard input, and ends with
it. It is a process of its own, so neither the test's event loop nor a collection of garbage delays a packet.
"""

import contextlib
import gc
import os
import select
import socket
import sys
import time
from collections.abc import Collection, Iterator
from typing import Final, TypeAlias

import msgspec

from tests.network.emulator.emulated_link import EmulatedLink
from tests.network.emulator.relay_commands import (
    ChangeRelay,
    CloseRelay,
    OpenRelay,
    RebindRelay,
    RelayAnswer,
    RelayCommand,
)

MAX_DATAGRAM_BYTES: Final = 65535
MAX_DATAGRAMS_AT_ONCE: Final = 64
"""What is read from one socket before the others have their turn."""
RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024


Address: TypeAlias = tuple[str, int]


class RoutedDatagram(msgspec.Struct, frozen=True, gc=False):
    """A datagram from or to one of the peer's addresses."""

    body: bytes
    peer: Address

    def __len__(self) -> int:
        """The length of the datagram."""
        return len(self.body)


class UdpRelay:
    """Carries the datagrams of one peer to a server and back, like a NAT: each address of the peer has a port of its
    own at the server's side.

    A browser has a socket for each of its networks, and sends connectivity checks from all of them. The answers must
    return to the socket that asked.
    """

    def __init__(self, command: OpenRelay, now: float) -> None:
        self._host = command.host
        self._server = (command.host, command.port)
        self.to_server = EmulatedLink[RoutedDatagram](command.to_server, seed=2 * command.seed, now=now)
        self.to_peer = EmulatedLink[RoutedDatagram](command.to_peer, seed=2 * command.seed + 1, now=now)
        self._peer_socket = _bound(self._host)
        self._server_sockets: dict[Address, socket.socket] = {}
        """By the peer's address."""

    @property
    def port(self) -> int:
        """The port for the peer."""
        port: int = self._peer_socket.getsockname()[1]
        return port

    @property
    def sockets(self) -> list[socket.socket]:
        """What datagrams come to."""
        return [self._peer_socket, *self._server_sockets.values()]

    def rebind(self) -> None:
        """Reach the server from other ports, like a NAT that has forgotten its mappings. What the server sends to the
        former ports is lost."""
        for each in self._server_sockets.values():
            each.close()
        self._server_sockets = {}

    def close(self) -> None:
        """Close the sockets."""
        self.rebind()
        self._peer_socket.close()

    def read(self, readable: Collection[object]) -> None:
        """Read what has come to those of the sockets that are readable, and send it into the links."""
        if self._peer_socket in readable:
            for body, peer in _received(self._peer_socket):
                self.to_server.send(RoutedDatagram(body, peer), time.monotonic())
        for peer, each in self._server_sockets.items():
            if each in readable:
                for body, _ in _received(each):
                    self.to_peer.send(RoutedDatagram(body, peer), time.monotonic())

    def deliver(self, now: float) -> None:
        """Send on what has arrived at the end of the links."""
        for each in self.to_server.receive(now):
            if each.peer not in self._server_sockets:
                self._server_sockets[each.peer] = _bound(self._host)
            _send(self._server_sockets[each.peer], each.body, self._server)
        for each in self.to_peer.receive(now):
            _send(self._peer_socket, each.body, each.peer)

    def next_arrival(self) -> float | None:
        """The time at which `deliver` should be called again."""
        times = [self.to_server.next_arrival(), self.to_peer.next_arrival()]
        return min((each for each in times if each is not None), default=None)


def _received(readable: socket.socket) -> Iterator[tuple[bytes, Address]]:
    for _ in range(MAX_DATAGRAMS_AT_ONCE):
        try:
            yield readable.recvfrom(MAX_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:  # the other end has closed its socket
            continue


def _bound(host: str) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    bound.settimeout(0)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    bound.bind((host, 0))
    return bound


def _send(sender: socket.socket, datagram: bytes, address: Address) -> None:
    with contextlib.suppress(BlockingIOError, ConnectionError):  # as if it were lost
        sender.sendto(datagram, address)


class RelayProcess:
    """All relays of one test."""

    def __init__(self) -> None:
        self._relays: dict[str, UdpRelay] = {}
        self._decoder = msgspec.json.Decoder(RelayCommand)
        self._input = b""

    def run(self) -> None:
        """Relay until standard input ends."""
        while True:
            sockets = [each for relay in self._relays.values() for each in relay.sockets]
            readable, _, _ = select.select([sys.stdin, *sockets], [], [], self._timeout())
            for relay in self._relays.values():
                relay.read(readable)
            now = time.monotonic()
            for relay in self._relays.values():
                relay.deliver(now)
            if sys.stdin in readable and not self._read_commands():
                return

    def _timeout(self) -> float | None:
        times = [relay.next_arrival() for relay in self._relays.values()]
        earliest = min((each for each in times if each is not None), default=None)
        return None if earliest is None else max(0.0, earliest - time.monotonic())

    def _read_commands(self) -> bool:
        received = os.read(sys.stdin.fileno(), MAX_DATAGRAM_BYTES)
        *lines, self._input = (self._input + received).split(b"\n")
        for line in lines:
            answer = self._carry_out(self._decoder.decode(line), time.monotonic())
            sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
            sys.stdout.flush()
        return bool(received)

    def _carry_out(self, command: RelayCommand, now: float) -> RelayAnswer:
        if isinstance(command, OpenRelay):
            self._relays[command.name] = UdpRelay(command, now)
        relay = self._relays[command.name]
        if isinstance(command, ChangeRelay):
            if command.to_server is not None:
                relay.to_server.change(command.to_server, now)
            if command.to_peer is not None:
                relay.to_peer.change(command.to_peer, now)
        elif isinstance(command, RebindRelay):
            relay.rebind()
        answer = RelayAnswer(
            port=relay.port,
            to_server=relay.to_server.meter.report(now),
            to_peer=relay.to_peer.meter.report(now),
        )
        if isinstance(command, CloseRelay):
            self._relays.pop(command.name).close()
        return answer


if __name__ == "__main__":
    gc.disable()  # the process is short-lived and makes no cycles of objects
    RelayProcess().run()
