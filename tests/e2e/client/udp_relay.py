"""A UDP relay between browsers and the media port of a server, which can be blocked like UDP in an office."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

Address: TypeAlias = tuple[str, int]


class UdpRelay(asyncio.DatagramProtocol):
    """The side of the peers. Each peer has a port of its own towards the server, like behind a NAT."""

    def __init__(self, server: Address) -> None:
        self.is_blocked = False
        self.passed = 0
        """Datagrams that have passed."""
        self._server = server
        self._uplinks: dict[Address, asyncio.Future[asyncio.DatagramTransport]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # of datagrams
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if self.is_blocked:
            return
        self.passed += 1
        uplink = self._uplinks.get(addr)
        if uplink is None:
            uplink = self._uplinks[addr] = asyncio.ensure_future(self._open(addr))
        uplink.add_done_callback(lambda opened: opened.result().sendto(data))

    def send_back(self, data: bytes, peer: Address) -> None:
        """Pass a datagram of the server on to a peer."""
        if not self.is_blocked and self._transport is not None:
            self.passed += 1
            self._transport.sendto(data, peer)

    async def _open(self, peer: Address) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Uplink(self, peer), remote_addr=self._server)
        return transport

    async def close(self) -> None:
        """Close all sockets."""
        for uplink in self._uplinks.values():
            (await uplink).close()
        if self._transport is not None:
            self._transport.close()


class _Uplink(asyncio.DatagramProtocol):
    """The side of the server for one peer."""

    def __init__(self, relay: UdpRelay, peer: Address) -> None:
        self._relay = relay
        self._peer = peer

    def datagram_received(self, data: bytes, _addr: tuple[str | Any, int]) -> None:
        self._relay.send_back(data, self._peer)


@contextlib.asynccontextmanager
async def udp_relay(host: str, server: Address) -> AsyncIterator[UdpRelay]:
    """Run a relay on a free port of `host`."""
    _, relay = await asyncio.get_running_loop().create_datagram_endpoint(lambda: UdpRelay(server), local_addr=(host, 0))
    try:
        yield relay
    finally:
        await relay.close()
