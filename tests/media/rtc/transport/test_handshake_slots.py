"""The DTLS handshakes in progress, counted by network."""

import structlog

from stagebook.log_rate_limit import MAX_LINES
from stagebook.media.rtc.transport.handshake_slots import MAX_HANDSHAKES_PER_NETWORK, SLOT_SECONDS, HandshakeSlots


def test_a_network_has_so_many_slots_and_other_networks_have_their_own() -> None:
    slots = HandshakeSlots(clock=lambda: 0.0)
    taken = [slots.enter("192.0.2.1") for _ in range(MAX_HANDSHAKES_PER_NETWORK + 1)]
    assert [None if slot is None else slot.network for slot in taken] == [
        *["192.0.2.1"] * MAX_HANDSHAKES_PER_NETWORK,
        None,
    ]
    assert slots.enter("192.0.2.2") is not None
    assert taken[0] is not None
    slots.leave(taken[0])
    assert slots.enter("192.0.2.1") is not None


def test_a_handshake_that_does_not_end_loses_its_slot_to_the_next_one() -> None:
    now = 0.0
    slots = HandshakeSlots(clock=lambda: now)
    taken = [slots.enter("192.0.2.1") for _ in range(MAX_HANDSHAKES_PER_NETWORK)]
    now = SLOT_SECONDS - 0.1
    assert slots.enter("192.0.2.1") is None
    now = SLOT_SECONDS
    assert slots.enter("192.0.2.1") is not None
    assert len(slots) == MAX_HANDSHAKES_PER_NETWORK
    for slot in taken:
        assert slot is not None
        slots.leave(slot)
    assert len(slots) == 1


def test_nothing_is_kept_for_a_network_without_handshakes() -> None:
    slots = HandshakeSlots()
    for number in range(1000):
        network = slots.enter(f"2001:db8:{number:x}::1")
        assert network is not None
        slots.leave(network)
    assert (len(slots), slots._in_progress) == (0, {})


def test_failed_handshakes_cause_a_limited_number_of_log_lines() -> None:
    slots = HandshakeSlots(clock=lambda: 0.0)
    with structlog.testing.capture_logs() as lines:
        for number in range(3 * MAX_LINES):
            slots.log_failure(connection_id=f"c{number}", reason=f"reason {number}")
    assert [line["connection_id"] for line in lines] == [f"c{number}" for number in range(MAX_LINES)]
