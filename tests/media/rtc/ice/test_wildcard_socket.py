"""A wildcard address: answers come from the address that the peer sent to."""

import asyncio
import socket

import pytest

from stagebook.media.port import Connected
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.ice import wildcard_socket
from stagebook.media.rtc.ice.udp_socket import Address, DatagramReceiver, UdpSocket
from stagebook.media.rtc.ice.wildcard_socket import WildcardSocket
from tests.media.rtc.packets import vp8_keyframe
from tests.media.rtc.running_engine import running_engine, start_video

WILDCARD = "0.0.0.0"  # noqa: S104 - the test is about the wildcard


class EchoServer:
    """A wildcard socket that sends each datagram back, and the sockets that it has bound."""

    def __init__(self, bind_address: str = WILDCARD) -> None:
        self.bound: list[UdpSocket] = []
        self.wildcard = WildcardSocket(bind_address, 0)
        self.wildcard.start_receiving(asyncio.get_running_loop(), self._make_receiver, lambda: 0.0, connections=int)

    def _make_receiver(self, bound: UdpSocket) -> DatagramReceiver:
        self.bound.append(bound)

        def receive(datagram: bytes, address: Address, _now: float) -> None:
            if datagram == b"raise":
                raise ZeroDivisionError
            bound.send(datagram, address)

        return receive

    def close(self) -> None:
        self.wildcard.stop_receiving()
        self.wildcard.close()

    async def echo(self, host: str, datagram: bytes) -> bytes:
        """Send from a socket that takes datagrams of `host` only, and return the answer. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.setblocking(False)  # noqa: FBT003 - the socket's own signature
            client.bind(("::1" if ":" in host else "127.0.0.1", 0))
            client.connect((host, self.wildcard.port))
            for part in (b"raise", datagram):
                await loop.sock_sendall(client, part)
            return await asyncio.wait_for(loop.sock_recv(client, 100), 5)


@pytest.mark.parametrize(
    ("bind_address", "hosts"), [(WILDCARD, ("127.0.0.1", "127.0.0.2", "127.0.0.3")), ("::", ("::1",))]
)
async def test_each_local_address_gets_a_socket_that_answers_from_it(bind_address: str, hosts: tuple[str]) -> None:
    server = EchoServer(bind_address)
    for _ in range(2):
        for host in hosts:
            assert await server.echo(host, host.encode()) == host.encode()
    assert [bound.system_socket.getsockname()[0] for bound in server.bound] == list(hosts)
    server.close()


async def test_no_other_socket_can_take_the_port() -> None:
    server = EchoServer()
    await server.echo("127.0.0.2", b"x")
    for address in (WILDCARD, "127.0.0.2", "127.0.0.9"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind((address, server.wildcard.port))
    server.close()


async def test_the_number_of_sockets_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wildcard_socket, "MAX_LOCAL_ADDRESSES", 1)
    server = EchoServer()
    assert await server.echo("127.0.0.1", b"x") == b"x"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"dropped", ("127.0.0.2", server.wildcard.port))
    assert await server.echo("127.0.0.1", b"y") == b"y"
    assert len(server.bound) == 1
    server.close()


async def test_peers_connect_and_receive_media_at_the_second_address_of_the_host() -> None:
    async with running_engine(EngineSettings(bind_addresses=(WILDCARD,))) as engine:
        publisher = await engine.publisher()
        viewer = engine.raw_peer()
        answer = engine.forwarder.subscribe(connection_id="v", source_id="source", offer=viewer.offer("recvonly"))
        # The system passes on datagrams of this address only.
        viewer.socket.connect(("127.0.0.2", engine.forwarder.udp_port))
        viewer._host = "127.0.0.2"
        await viewer.connect(answer.sdp, engine.forwarder.udp_port)
        await engine.wait_for(Connected(connection_id="v"))
        assert (await start_video(engine, publisher, viewer)).payload == vp8_keyframe()
