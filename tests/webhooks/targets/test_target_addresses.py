"""Which addresses are denied, also in the forms in which an IPv6 address hides an IPv4 address."""

import ipaddress

import pytest

from stagebook.webhooks.targets.target_addresses import is_denied

METADATA = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("2002:a9fe:a9fe::1", True),
        ("fe80::1", True),
        ("127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("2001:db8::1", False),
    ],
)
def test_denied_addresses(address: str, expected: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert is_denied(ipaddress.ip_address(address), METADATA) is expected
