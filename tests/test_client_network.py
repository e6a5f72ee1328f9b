"""The addresses that count as one client."""

import pytest

from stagebook.client_network import network_of


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


def test_a_string_that_is_no_address_is_a_network_of_its_own() -> None:
    assert network_of("") == ""
    assert network_of("unix") == "unix"
    assert len(network_of("x" * 60_000)) == 64
