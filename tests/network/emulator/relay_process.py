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
from typing import Final

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


class UdpRelay:
    """Two sockets: the peer sends to one, the server is reached from the other. The peer's address may change."""

    def __init__(self, command: OpenRelay, now: float) -> None:
        self._host = command.host
        self._server = (command.host, command.port)
        self._peer: tuple[str, int] | None = None
        self.to_server = EmulatedLink(command.to_server, seed=2 * command.seed, now=now)
        self.to_peer = EmulatedLink(command.to_peer, seed=2 * command.seed + 1, now=now)
        self.peer_socket = _bound(self._host)
        self.server_socket = _bound(self._host)

    @property
    def port(self) -> int:
        """The port for the peer."""
        port: int = self.peer_socket.getsockname()[1]
        return port

    def rebind(self) -> None:
        """Reach the server from another port, like a NAT that has forgotten its mapping. What the server sends to the
        former port is lost."""
        self.server_socket.close()
        self.server_socket = _bound(self._host)

    def close(self) -> None:
        """Close the sockets."""
        self.peer_socket.close()
        self.server_socket.close()

    def read(self, readable: socket.socket) -> None:
        """Read what has come to one of the sockets, and send it into the link."""
        for _ in range(MAX_DATAGRAMS_AT_ONCE):
            try:
                datagram, address = readable.recvfrom(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except ConnectionError:  # the other end has closed its socket
                continue
            if readable is self.peer_socket:
                self._peer = address
                self.to_server.send(datagram, time.monotonic())
            else:
                self.to_peer.send(datagram, time.monotonic())

    def deliver(self, now: float) -> None:
        """Send on what has arrived at the end of the links."""
        for datagram in self.to_server.receive(now):
            _send(self.server_socket, datagram, self._server)
        for datagram in self.to_peer.receive(now):
            _send(self.peer_socket, datagram, self._peer)

    def next_arrival(self) -> float | None:
        """The time at which `deliver` should be called again."""
        times = [self.to_server.next_arrival(), self.to_peer.next_arrival()]
        return min((each for each in times if each is not None), default=None)


def _bound(host: str) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    bound.settimeout(0)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    bound.bind((host, 0))
    return bound


def _send(sender: socket.socket, datagram: bytes, address: tuple[str, int] | None) -> None:
    if address is None:
        return
    with contextlib.suppress(BlockingIOError, ConnectionError):  # as if it were lost
        sender.sendto(datagram, address)


class RelayProcess:
    """All relays of one test."""

    def __init__(self) -> None:
        self._relays: dict[str, UdpRelay] = {}
        self._by_socket: dict[socket.socket, UdpRelay] = {}
        self._decoder = msgspec.json.Decoder(RelayCommand)
        self._input = b""

    def run(self) -> None:
        """Relay until standard input ends."""
        while True:
            readable, _, _ = select.select([sys.stdin, *self._by_socket], [], [], self._timeout())
            for each in readable:
                if isinstance(each, socket.socket):
                    self._by_socket[each].read(each)
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
            self._by_socket = {
                each: relay for relay in self._relays.values() for each in (relay.peer_socket, relay.server_socket)
            }
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
