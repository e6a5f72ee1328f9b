"""Limits per network: which addresses count together, connections, and blocks after wrong keys."""

import pytest

from stagebook.media.ingest.processes.connection_limits import (
    BLOCK_SECONDS,
    MAX_REFUSALS,
    REFUSALS_WINDOW_SECONDS,
    ConnectionLimits,
)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def make_limits(clock: Clock | None = None) -> ConnectionLimits:
    return ConnectionLimits(max_connections=5, max_per_network=2, clock=clock or Clock())


def test_connections_are_limited_per_network_and_in_total() -> None:
    limits = make_limits()
    for network in ("a", "a", "b", "b"):
        assert limits.refusal_reason(network) is None
        limits.add_connection(network)
    assert limits.refusal_reason("a") == "more than 2 connections of one address"
    limits.add_connection("c")
    assert (limits.refusal_reason("d"), limits.total_reason) == (None, "more than 5 connections")
    limits.remove_connection("a")
    assert limits.total_reason is None
    assert limits.refusal_reason("a") is None


def test_too_many_refused_keys_block_a_network_for_a_while() -> None:
    clock = Clock()
    limits = make_limits(clock)
    assert not any(limits.add_refusal("a") for _ in range(MAX_REFUSALS))
    assert limits.refusal_reason("a") is None
    assert limits.add_refusal("a")
    assert not limits.add_refusal("a"), "only the refusal that blocks returns True"
    assert limits.refusal_reason("a") == "too many wrong stream keys"
    assert limits.refusal_reason("b") is None
    clock.now += BLOCK_SECONDS
    assert limits.refusal_reason("a") is None
    assert not limits.add_refusal("a"), "the count starts again"


def test_old_refusals_do_not_count() -> None:
    clock = Clock()
    limits = make_limits(clock)
    for _ in range(10 * MAX_REFUSALS):
        assert not limits.add_refusal("a")
        clock.now += REFUSALS_WINDOW_SECONDS / MAX_REFUSALS * 1.01


SHARED = ("192.0.2.0/24", "2001:db8:1::/48", "2001:db8:2::5", "::1")


@pytest.mark.parametrize(
    "address", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8:1:2::9", "2001:db8:2::5", "2001:db8:2::5%eth0", "::1"]
)
def test_shared_networks_have_no_limits_per_network(address: str) -> None:
    limits = ConnectionLimits(max_connections=5, max_per_network=2, clock=Clock(), shared_networks=SHARED)
    network = limits.network_key(address)
    for _ in range(5):
        assert limits.refusal_reason(network) is None
        limits.add_connection(network)
    assert limits.total_reason == "more than 5 connections"
    assert not any(limits.add_refusal(network) for _ in range(10 * MAX_REFUSALS))
    limits.remove_connection(network)
    assert limits.refusal_reason(network) is None


def test_other_addresses_of_a_shared_address_prefix_are_limited() -> None:
    limits = ConnectionLimits(max_connections=9, max_per_network=2, clock=Clock(), shared_networks=SHARED)
    for _ in range(4):
        limits.add_connection(limits.network_key("2001:db8:2::5"))
    assert limits.network_key("2001:db8:2::6") == limits.network_key("2001:db8:2::7") == "2001:db8:2::/64"
    for address in ("2001:db8:2::6", "2001:db8:2::7"):
        assert limits.refusal_reason(limits.network_key(address)) is None
        limits.add_connection(limits.network_key(address))
    assert limits.refusal_reason(limits.network_key("2001:db8:2::8")) == "more than 2 connections of one address"
