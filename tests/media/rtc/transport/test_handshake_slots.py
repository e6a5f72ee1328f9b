"""The DTLS handshakes in progress, counted by network."""

import pytest
import structlog

from stagebook.log_rate_limit import MAX_LINES
from stagebook.media.rtc.transport.handshake_slots import MAX_HANDSHAKES_PER_NETWORK, HandshakeSlots, network_of


def test_a_network_has_so_many_slots_and_other_networks_have_their_own() -> None:
    slots = HandshakeSlots()
    taken = [slots.enter("192.0.2.1") for _ in range(MAX_HANDSHAKES_PER_NETWORK + 1)]
    assert taken == ["192.0.2.1"] * MAX_HANDSHAKES_PER_NETWORK + [None]
    assert slots.enter("192.0.2.2") == "192.0.2.2"
    slots.leave("192.0.2.1")
    assert slots.enter("192.0.2.1") == "192.0.2.1"


def test_nothing_is_kept_for_a_network_without_handshakes() -> None:
    slots = HandshakeSlots()
    for number in range(1000):
        network = slots.enter(f"2001:db8:{number:x}::1")
        assert network is not None
        slots.leave(network)
    assert (len(slots), slots._in_progress) == (0, {})


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::1", True),
    ],
)
def test_the_addresses_of_an_ipv6_network_count_together(one: str, other: str, *, is_same: bool) -> None:
    assert (network_of(one) == network_of(other)) is is_same


def test_failed_handshakes_cause_a_limited_number_of_log_lines() -> None:
    slots = HandshakeSlots(clock=lambda: 0.0)
    with structlog.testing.capture_logs() as lines:
        for number in range(3 * MAX_LINES):
            slots.log_failure(connection_id=f"c{number}", reason=f"reason {number}")
    assert [line["connection_id"] for line in lines] == [f"c{number}" for number in range(MAX_LINES)]
