"""Who is counted together, how many may come, and who is not listened to."""

import pytest

from stagebook.media.ingest.connection_limits import (
    MAX_REFUSALS,
    REFUSALS_WINDOW_SECONDS,
    SHUT_OUT_SECONDS,
    Connections,
    network_of,
)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock | None = None) -> Connections:
    return Connections(max_connections=5, max_per_network=2, clock=clock or Clock())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("no address", "no address"),
    ],
)
def test_what_is_counted_as_one(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_network_has_its_share_and_all_together_theirs() -> None:
    connections = make()
    for network in ("a", "a", "b", "b"):
        assert connections.why_not(network) is None
        connections.open(network)
    assert connections.why_not("a") == "more than 2 connections of one address"
    connections.open("c")
    assert connections.why_not("d") == "more than 5 connections"
    connections.close("a")
    assert connections.why_not("a") is None


def test_more_refused_keys_than_a_person_has_shut_a_network_out_for_a_while() -> None:
    clock = Clock()
    connections = make(clock)
    assert not any(connections.refuse("a") for _ in range(MAX_REFUSALS))
    assert connections.why_not("a") is None
    assert connections.refuse("a")
    assert not connections.refuse("a"), "it is told once"
    assert connections.why_not("a") == "too many wrong stream keys"
    assert connections.why_not("b") is None
    clock.now += SHUT_OUT_SECONDS
    assert connections.why_not("a") is None
    assert not connections.refuse("a"), "the count begins anew"


def test_refusals_of_long_ago_do_not_count() -> None:
    clock = Clock()
    connections = make(clock)
    for _ in range(10 * MAX_REFUSALS):
        assert not connections.refuse("a")
        clock.now += REFUSALS_WINDOW_SECONDS / MAX_REFUSALS * 1.01


SHARED = ("192.0.2.0/24", "2001:db8:1::/48", "2001:db8:2::5", "::1")


@pytest.mark.parametrize(
    "address", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8:1:2::9", "2001:db8:2::5", "2001:db8:2::5%eth0", "::1"]
)
def test_behind_a_proxy_nobody_is_counted_as_another(address: str) -> None:
    connections = Connections(max_connections=5, max_per_network=2, clock=Clock(), shared_networks=SHARED)
    network = connections.counted_as(address)
    for _ in range(5):
        assert connections.why_not(network) is None
        connections.open(network)
    assert connections.why_not(network) == "more than 5 connections"
    assert not any(connections.refuse(network) for _ in range(10 * MAX_REFUSALS))
    connections.close(network)
    assert connections.why_not(network) is None


def test_a_proxys_neighbours_are_counted_without_it() -> None:
    connections = Connections(max_connections=9, max_per_network=2, clock=Clock(), shared_networks=SHARED)
    for _ in range(4):
        connections.open(connections.counted_as("2001:db8:2::5"))
    assert connections.counted_as("2001:db8:2::6") == connections.counted_as("2001:db8:2::7") == "2001:db8:2::/64"
    for address in ("2001:db8:2::6", "2001:db8:2::7"):
        assert connections.why_not(connections.counted_as(address)) is None
        connections.open(connections.counted_as(address))
    assert connections.why_not(connections.counted_as("2001:db8:2::8")) == "more than 2 connections of one address"
