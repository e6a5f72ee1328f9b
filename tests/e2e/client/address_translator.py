"""A NAT in front of the media engine: each peer has a mapping to a port of its own, which the test lets it forget."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from stagebook.media.rtc.ice.candidates import candidate_ips

ENGINE_HOST = "127.0.0.1"
MAX_DATAGRAM_SIZE_BYTES = 2048
ANY_HOST = "0.0.0.0"  # noqa: S104 - replaced by an address of the machine

SocketAddress: TypeAlias = tuple[Any, ...]


def peer_host() -> str:
    """The address that peers send to. It is ENGINE_HOST, and so of no use, where the machine has no other one."""
    return candidate_ips(bind_addresses=(ANY_HOST,), announced_addresses=())[0]


class AddressTranslator:
    """The side of the peers: they send to `host` and the port of the engine."""

    def __init__(self) -> None:
        self.host = peer_host()
        self.port = _free_port(self.host)
        self.is_open = True
        """Whether datagrams pass. A network that is away drops them."""
        self._mappings: dict[SocketAddress, socket.socket] = {}
        self._socket = _open_socket(self.host, self.port)
        asyncio.get_running_loop().add_reader(self._socket, self._pass_on)

    def forget_mappings(self) -> None:
        """Give each peer another port with its next datagram. What the engine sends to the previous ones is lost."""
        for mapping in self._mappings.values():
            asyncio.get_running_loop().remove_reader(mapping)
            mapping.close()
        self._mappings.clear()

    def close(self) -> None:
        """Close all sockets."""
        self.forget_mappings()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _pass_on(self) -> None:
        """Pass the datagrams of peers on, over a new port for a peer that has none."""
        with contextlib.suppress(OSError):
            while True:
                data, peer = self._socket.recvfrom(MAX_DATAGRAM_SIZE_BYTES)
                if self.is_open:
                    (self._mappings.get(peer) or self._map(peer)).send(data)

    def _map(self, peer: SocketAddress) -> socket.socket:
        mapping = self._mappings[peer] = _open_socket(ENGINE_HOST, 0)
        mapping.connect((ENGINE_HOST, self.port))
        asyncio.get_running_loop().add_reader(mapping, self._pass_back, mapping, peer)
        return mapping

    def _pass_back(self, mapping: socket.socket, peer: SocketAddress) -> None:
        """Pass the datagrams of the engine back to a peer."""
        with contextlib.suppress(OSError):
            while data := mapping.recv(MAX_DATAGRAM_SIZE_BYTES):
                if self.is_open:
                    self._socket.sendto(data, peer)


def _open_socket(host: str, port: int) -> socket.socket:
    opened = socket.socket(type=socket.SOCK_DGRAM)
    opened.setblocking(False)  # noqa: FBT003 - the socket's own signature
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    opened.bind((host, port))
    return opened


def _free_port(host: str) -> int:
    """A UDP port that is free both at the engine and at the translator."""
    while True:
        with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as engine:
            engine.bind((ENGINE_HOST, 0))
            port: int = engine.getsockname()[1]
            with socket.socket(type=socket.SOCK_DGRAM) as other:
                other.bind((host, port))
            return port


@contextlib.asynccontextmanager
async def running_translator() -> AsyncIterator[AddressTranslator]:
    """Run a translator. The server needs `media_bind` ENGINE_HOST, its port as `media_port`, and `media_announce`."""
    translator = AddressTranslator()
    try:
        yield translator
    finally:
        translator.close()
