"""Our own binding requests: their form, which responses count, and how many wait."""

from collections.abc import Iterator

import pytest
from aioice import stun

from stagebook.media.rtc.ice.stun_probe import MAX_PENDING, REPEAT_SECONDS, StunProbes
from stagebook.media.rtc.ice.udp_socket import Address, Path, UdpSocket

THEIRS, OURS = "their-password-of-24-chars", "our-password-of-24-characters"


class Network:
    """A socket that notes what is sent, and paths over it."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []
        self.socket = UdpSocket("127.0.0.1", 0)
        self.socket.sendto = self._sendto
        ids = (number.to_bytes(12) for number in range(1, 1000))
        self.probes = StunProbes(lambda: next(ids))

    def path(self, number: int) -> Path:
        return Path(self.socket, ("192.0.2.1", number))

    def send(self, path: Path, *, nominated: bool = False, now: float = 0.0) -> bytes:
        """Send a probe. Return its transaction id, the one under way if none was sent."""
        self.probes.send(path, username="theirs:ours", password=THEIRS, nominated=nominated, now=now)
        return bytes(stun.parse_message(self.sent[-1][0]).transaction_id)

    def answer(self, transaction_id: bytes, path: Path, *, password: str = THEIRS) -> bool | None:
        """Deliver a response. Return whether the probe was for a nominated check; None if the response is refused."""
        message = stun.Message(
            message_method=stun.Method.BINDING, message_class=stun.Class.RESPONSE, transaction_id=transaction_id
        )
        message.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.9", 9)
        message.add_message_integrity(password.encode())
        taken = self.probes.take_response(bytes(message), path, password=THEIRS)
        return None if taken is None else taken.nominated

    def _sendto(self, data: memoryview | bytes, address: Address) -> int:
        self.sent.append((bytes(data), address))
        return len(data)


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.socket.close()


def test_a_request_has_what_a_full_agent_expects(network: Network) -> None:
    network.send(network.path(1))
    datagram, address = network.sent[0]
    message = stun.parse_message(datagram)
    assert message.check_message_integrity(THEIRS.encode())
    assert address == ("192.0.2.1", 1)
    assert (message.message_method, message.message_class) == (stun.Method.BINDING, stun.Class.REQUEST)
    assert message.attributes["USERNAME"] == "theirs:ours"
    assert {"PRIORITY", "ICE-CONTROLLED", "FINGERPRINT"} <= set(message.attributes)
    assert "USE-CANDIDATE" not in message.attributes


def test_a_signed_response_counts_once_and_only_from_its_address(network: Network) -> None:
    path = network.path(1)
    transaction_id = network.send(path, nominated=True)
    assert network.answer(transaction_id, path, password=OURS) is None
    assert network.answer(transaction_id, network.path(2)) is None
    assert network.answer(bytes(12), path) is None
    assert network.answer(transaction_id, path) is True
    assert network.answer(transaction_id, path) is None


def test_one_request_to_an_address_is_under_way_at_a_time(network: Network) -> None:
    path = network.path(1)
    first = network.send(path)
    assert network.send(path, nominated=True, now=REPEAT_SECONDS - 0.1) == first
    assert len(network.sent) == 1
    assert network.answer(first, path) is True
    second = network.send(path)
    third = network.send(path, now=REPEAT_SECONDS)
    assert len({first, second, third}) == 3
    assert network.answer(second, path) is None
    assert network.answer(third, path) is False


def test_the_requests_that_wait_are_bounded(network: Network) -> None:
    ids = [network.send(network.path(number)) for number in range(1, MAX_PENDING + 2)]
    assert network.answer(ids[0], network.path(1)) is None
    assert network.answer(ids[1], network.path(2)) is False
    assert network.answer(ids[-1], network.path(MAX_PENDING + 1)) is False


@pytest.mark.parametrize("datagram", [b"", b"\x01\x01", b"\x01\x01" + bytes(18), b"\x01\x01\x00\x04" + bytes(20)])
def test_malformed_responses_are_refused(network: Network, datagram: bytes) -> None:
    network.send(network.path(1))
    assert network.probes.take_response(datagram, network.path(1), password=THEIRS) is None


def test_a_response_without_a_signature_is_refused(network: Network) -> None:
    path = network.path(1)
    message = stun.Message(
        message_method=stun.Method.BINDING, message_class=stun.Class.RESPONSE, transaction_id=network.send(path)
    )
    assert network.probes.take_response(bytes(message), path, password=THEIRS) is None
