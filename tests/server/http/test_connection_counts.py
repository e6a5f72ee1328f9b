"""The share of each network in the connections of the server."""

import pytest

from stagebook.server.http.connection_counts import ConnectionCounts


def test_a_network_has_its_share_and_others_have_theirs() -> None:
    counts = ConnectionCounts(max_per_network=2)
    networks = [counts.enter("192.0.2.1") for _ in range(3)]
    other = counts.enter("192.0.2.2")
    assert counts.is_above(networks[0], 0)
    assert not counts.is_above(networks[0], 1)
    assert not counts.is_above(other, 0)
    counts.leave(networks[0])
    assert not counts.is_above(networks[0], 0)


def test_nothing_is_kept_of_a_network_without_connections() -> None:
    counts = ConnectionCounts(max_per_network=2)
    for number in range(100):
        counts.leave(counts.enter(f"2001:db8:{number}::1"))
    assert len(counts) == 0


@pytest.mark.parametrize(
    ("address", "is_shared"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::5", True),
        ("2001:db8::6", False),
        ("11.1.2.3", False),
        ("", True),
        ("not an address", False),
    ],
)
def test_trusted_proxies_have_no_share(address: str, *, is_shared: bool) -> None:
    counts = ConnectionCounts(max_per_network=0, shared_networks=("10.0.0.0/8", "2001:db8::5"))
    assert counts.is_above(counts.enter(address), 0) is not is_shared
