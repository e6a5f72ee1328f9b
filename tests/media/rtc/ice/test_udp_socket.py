"""UDP sockets: one port for all addresses, batches, and a receiver that raises."""

import asyncio
import socket

import pytest
from structlog.testing import capture_logs

from stagebook.media.rtc.ice.udp_socket import DATAGRAMS_PER_WAKE_UP, Address, Path, UdpSocket
from stagebook.media.rtc.ice.wildcard_socket import bind_all
from tests.media.rtc.running_engine import wait_until


def test_all_addresses_are_bound_to_one_port() -> None:
    sockets = bind_all(("127.0.0.1", "::1"), 0)
    try:
        assert sockets[0].port == sockets[1].port != 0
    finally:
        for bound in sockets:
            bound.close()


def test_a_port_in_use_leaves_no_socket_open() -> None:
    taken = UdpSocket("127.0.0.1", 0)
    try:
        with pytest.raises(OSError, match="in use"):
            bind_all(("::1", "127.0.0.1"), taken.port)
        UdpSocket("::1", taken.port).close()
    finally:
        taken.close()


def test_sending_to_an_unreachable_address_raises_nothing() -> None:
    bound = UdpSocket("127.0.0.1", 0)
    Path(bound, ("127.0.0.1", 0)).send(b"lost")
    bound.close()


async def test_datagrams_arrive_in_order_with_one_time_per_batch_and_an_exception_stops_nothing() -> None:
    loop = asyncio.get_running_loop()
    bound = UdpSocket("127.0.0.1", 0)
    times = iter(range(1000))
    received: list[tuple[bytes, float]] = []

    def receive(datagram: bytes, _address: Address, now: float) -> None:
        if datagram == b"raise":
            raise RuntimeError("a bug in the receiver")
        received.append((datagram, now))

    count = DATAGRAMS_PER_WAKE_UP + 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, capture_logs() as logs:
        for number in range(count):
            sender.sendto(str(number).encode(), ("127.0.0.1", bound.port))
        sender.sendto(b"raise", ("127.0.0.1", bound.port))
        sender.sendto(b"last", ("127.0.0.1", bound.port))
        bound.start_receiving(loop, receive, lambda: float(next(times)))
        await wait_until(lambda: (b"last", 1.0) in received, "the last datagram")
    assert [datagram for datagram, _ in received[:-1]] == [str(number).encode() for number in range(count)]
    assert [now for _, now in received] == [0.0] * DATAGRAMS_PER_WAKE_UP + [1.0, 1.0]
    assert [entry["event"] for entry in logs] == ["datagram_failed"]
    bound.stop_receiving(loop)
    bound.close()
