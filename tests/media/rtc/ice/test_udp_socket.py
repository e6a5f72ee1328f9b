"""UDP sockets: one port for all addresses, batches, and a receiver that raises."""

import asyncio
import errno
import socket
import sys
import time
from collections.abc import Iterator

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
    bound.stop_receiving()
    bound.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not say when a datagram arrived")
async def test_a_datagram_has_waited_since_it_arrived_in_the_machine() -> None:
    loop = asyncio.get_running_loop()
    bound = UdpSocket("127.0.0.1", 0)
    waited: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        bound.start_receiving(loop, lambda *_: waited.append(bound.waited_seconds), time.monotonic)
        sent_at = time.time()
        sender.sendto(b"first", ("127.0.0.1", bound.port))
        sender.sendto(b"second", ("127.0.0.1", bound.port))
        await wait_until(lambda: len(waited) == 2, "the datagrams")
    assert 0 < waited[1] < waited[0] < time.time() - sent_at
    assert bound.waited_seconds == 0.0
    bound.stop_receiving()
    bound.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not say when a datagram arrived")
async def test_after_a_pause_each_datagram_has_the_time_of_its_arrival() -> None:
    bound = UdpSocket("127.0.0.1", 0)
    received: list[tuple[float, float]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        bound.start_receiving(asyncio.get_running_loop(), lambda *_: None, time.monotonic)
        bound._drain(lambda *_: None, time.monotonic, after_pause=True)
        sent_at = []
        for _ in range(3):
            sent_at.append(time.monotonic())
            sender.sendto(b"datagram", ("127.0.0.1", bound.port))
        count = bound._drain(
            lambda *each: received.append((each[2], bound.waited_seconds)), time.monotonic, after_pause=True
        )
    read_at = time.monotonic()
    assert count == 3
    times = [now for now, _ in received]
    # The clocks of the system and of the process differ by the time between two calls.
    assert all(sent - 0.001 <= now < read_at for sent, now in zip(sent_at, times, strict=True))
    assert times == sorted(times)
    assert len(set(times)) == 3
    assert {waited for _, waited in received} == {0.0}
    bound.stop_receiving()
    bound.close()


async def test_after_a_pause_no_datagram_is_from_before_the_last_read() -> None:
    bound = UdpSocket("127.0.0.1", 0)
    received: list[float] = []
    times = iter([100.0, 100.0 + 1e-9])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        bound.start_receiving(asyncio.get_running_loop(), lambda *_: None, lambda: next(times))
        bound._drain(lambda *_: None, lambda: next(times), after_pause=True)
        sender.sendto(b"datagram", ("127.0.0.1", bound.port))
        bound._drain(lambda *each: received.append(each[2]), lambda: next(times), after_pause=True)
    assert 100.0 <= received[0] <= 100.0 + 1e-9
    bound.stop_receiving()
    bound.close()


@pytest.fixture
def pair() -> Iterator[tuple[UdpSocket, socket.socket]]:
    """A socket, and another one that receives what it sends."""
    sender = UdpSocket("127.0.0.1", 0)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(0)
    yield sender, receiver
    sender.close()
    receiver.close()


def received_by(receiver: socket.socket) -> list[bytes]:
    """What has arrived: on the loopback interface everything that was sent."""
    datagrams = []
    try:
        while True:
            datagrams.append(receiver.recv(2048))
    except BlockingIOError:
        return datagrams


RUN = b"a" * 1000 + b"b" * 1000 + b"c" * 300
DATAGRAMS = [b"a" * 1000, b"b" * 1000, b"c" * 300]


def test_a_run_is_sent_as_datagrams_of_one_size(pair: tuple[UdpSocket, socket.socket]) -> None:
    sender, receiver = pair
    assert sender.send_run(memoryview(RUN), 1000, receiver.getsockname()) == 3
    assert received_by(receiver) == DATAGRAMS


@pytest.mark.skipif(sys.platform != "linux", reason="GSO is Linux's")
def test_a_run_is_one_call_where_the_kernel_cuts_it(pair: tuple[UdpSocket, socket.socket]) -> None:
    sender, receiver = pair
    sender.sendto = lambda _data, _address: pytest.fail("a call for one datagram")
    assert sender.send_run(memoryview(RUN), 1000, receiver.getsockname()) == 3
    assert received_by(receiver) == DATAGRAMS


class RefusingSocket:
    """A system socket whose `sendmsg` fails."""

    def __init__(self, error: int) -> None:
        self.calls = 0
        self._error = error

    def sendmsg(self, *_arguments: object) -> int:
        """Fail."""
        self.calls += 1
        raise OSError(self._error, "refused")


@pytest.mark.skipif(sys.platform != "linux", reason="GSO is Linux's")
@pytest.mark.parametrize("error", [errno.EINVAL, errno.EIO, errno.EMSGSIZE])
def test_a_path_that_refuses_runs_gets_single_datagrams(
    pair: tuple[UdpSocket, socket.socket], monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    sender, receiver = pair
    refusing = RefusingSocket(error)
    with monkeypatch.context() as patched:
        patched.setattr(sender, "_socket", refusing)
        for size in (1000, 1000, 500, 2000):
            assert sender.send_run(memoryview(RUN)[: 2 * size], size, receiver.getsockname()) == 2
    # Once for 1000 and once for the smaller size, which might have passed.
    assert refusing.calls == 2
    assert [len(datagram) for datagram in received_by(receiver)] == [1000] * 4 + [500] * 2 + [2000, 300]


@pytest.mark.skipif(sys.platform != "linux", reason="GSO is Linux's")
def test_a_run_for_which_the_send_buffer_has_no_room_is_lost(
    pair: tuple[UdpSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, receiver = pair
    with monkeypatch.context() as patched:
        patched.setattr(sender, "_socket", RefusingSocket(errno.EAGAIN))
        assert sender.send_run(memoryview(RUN), 1000, receiver.getsockname()) == 0
    assert received_by(receiver) == []
    assert sender.send_run(memoryview(RUN), 1000, receiver.getsockname()) == 3
