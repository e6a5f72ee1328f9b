"""The relay process, with sockets of its own on both ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.network.emulator.emulated_network import (
    EmulatedNetwork,
    NetworkRelay,
    emulated_network,
    media_address,
    through_relay,
)
from tests.network.emulator.link_conditions import LinkConditions

HOST = "127.0.0.1"
DEADLINE_SECONDS = 20
ANSWER = (
    "v=0\r\n"
    "a=candidate:1 1 udp 2130706431 127.0.0.1 7000 typ host\r\n"
    "a=candidate:2 1 tcp 1671430143 127.0.0.1 7001 typ host tcptype passive\r\n"
    "a=end-of-candidates\r\n"
)


class DatagramEnd(asyncio.DatagramProtocol):
    """A socket that notes what it receives."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # its real type
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.received.put_nowait((data, address))

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram."""
        assert self.transport is not None
        self.transport.sendto(data, address)

    @property
    def port(self) -> int:
        """The port of the socket."""
        assert self.transport is not None
        port: int = self.transport.get_extra_info("sockname")[1]
        return port

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        """Wait for the next datagram."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.received.get()


@contextlib.asynccontextmanager
async def datagram_end() -> AsyncIterator[DatagramEnd]:
    """Open a socket on a free port."""
    transport, end = await asyncio.get_running_loop().create_datagram_endpoint(DatagramEnd, local_addr=(HOST, 0))
    try:
        yield end
    finally:
        transport.close()


@contextlib.asynccontextmanager
async def relayed() -> AsyncIterator[tuple[EmulatedNetwork, NetworkRelay, DatagramEnd, DatagramEnd]]:
    """A relay between a peer and a server that have exchanged one datagram each."""
    async with emulated_network() as network, datagram_end() as peer, datagram_end() as server:
        relay = await network.relay(HOST, server.port)
        peer.send(b"request", (HOST, relay.port))
        data, address = await server.receive()
        server.send(data + b" answered", address)
        assert await peer.receive() == (b"request answered", (HOST, relay.port))
        yield network, relay, peer, server


async def test_datagrams_pass_in_both_directions_and_are_counted() -> None:
    async with relayed() as (_, relay, _, _):
        report = await relay.report()
        assert (report.to_server.total.delivered_packets, report.to_peer.total.delivered_packets) == (1, 1)
        assert report.to_peer.total.offered_bytes == len(b"request answered") + 28


async def test_a_direction_is_blocked_and_opened_again() -> None:
    async with relayed() as (_, relay, peer, server):
        await relay.change(to_server=LinkConditions(is_blocked=True))
        peer.send(b"lost", (HOST, relay.port))
        while (await relay.report()).to_server.total.lost_packets == 0:
            pass
        await relay.change(to_server=LinkConditions())
        peer.send(b"passed", (HOST, relay.port))
        assert (await server.receive())[0] == b"passed"


async def test_a_relay_with_another_port_loses_what_is_sent_to_the_former_one() -> None:
    async with relayed() as (_, relay, peer, server):
        peer.send(b"before", (HOST, relay.port))
        _, former = await server.receive()
        await relay.rebind()
        server.send(b"lost", former)
        peer.send(b"after", (HOST, relay.port))
        data, address = await server.receive()
        assert data == b"after"
        assert address != former
        server.send(b"to the new port", address)
        assert (await peer.receive())[0] == b"to the new port"


async def test_answers_return_to_the_address_of_the_peer_that_asked() -> None:
    async with relayed() as (_, relay, peer, server), datagram_end() as other:
        peer.send(b"first", (HOST, relay.port))
        _, asked_first = await server.receive()
        other.send(b"second", (HOST, relay.port))
        _, asked_second = await server.receive()
        assert asked_first != asked_second
        server.send(b"to the first", asked_first)
        server.send(b"to the second", asked_second)
        assert [(await each.receive())[0] for each in (peer, other)] == [b"to the first", b"to the second"]


async def test_datagrams_wait_in_the_queue_of_a_bottleneck() -> None:
    async with relayed() as (_, relay, peer, server):
        await relay.change(to_server=LinkConditions(bitrate_bps=1_000_000, queue_seconds=1))
        for number in range(25):
            peer.send(bytes([number]) * 972, (HOST, relay.port))  # 8,000 bits with the headers
        assert [(await server.receive())[0][0] for _ in range(25)] == list(range(25))
        waited = (await relay.report()).to_server.total.max_queue_seconds
        assert waited > 0.15  # 25 packets of 8 ms; a busy machine may send the last ones later


async def test_two_relays_of_one_process_do_not_share_conditions() -> None:
    async with relayed() as (network, relay, peer, server):
        other = await network.relay(HOST, server.port, to_server=LinkConditions(is_blocked=True))
        peer.send(b"lost", (HOST, other.port))
        peer.send(b"passed", (HOST, relay.port))
        assert (await server.receive())[0] == b"passed"
        await other.close()


async def test_an_answer_leads_to_the_relay() -> None:
    async with emulated_network() as network:
        assert media_address(ANSWER) == (HOST, 7000)
        relay = await network.relay(HOST, 7000)
        changed = through_relay(ANSWER, relay)
        assert media_address(changed) == (HOST, relay.port)
        assert " tcp " not in changed
        assert " 7001 typ host tcptype passive" in through_relay(ANSWER, relay, keep_tcp=True)
