"""The addresses that count as one client."""

import pytest

from stagebook.client_network import network_of, plain_address


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


@pytest.mark.parametrize(
    ("address", "plain", "network"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::0:1%eth0", "fe80::1", "fe80::/64"),
        ("::1", "::1", "::/64"),
        ("no address", "no address", "no address"),
    ],
)
def test_the_forms_of_an_address(address: str, plain: str, network: str) -> None:
    assert plain_address(address) == plain
    assert network_of(address) == network
