"""The network of a client, for limits that an attacker must not evade by having many addresses.

An IPv4 address is a network of its own. An IPv6 subscriber has at least a /64 (RFC 6177), so single addresses say
nothing there. An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2), as a dual-stack socket returns it, is the IPv4
address.
"""

import ipaddress
from functools import lru_cache

_IPV6_NETWORK_BITS = 64
_NAME_LENGTH = 64


@lru_cache(maxsize=1_024)
def network_of(address: str) -> str:
    """Return the network of an IP address; the beginning of the string if it is not an address.

    It is needed for each request. The last answers are kept, because parsing an address takes longer than many requests
    may.
    """
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
    return address[:_NAME_LENGTH] if parsed is None else str(parsed)


def plain_address(address: str) -> str:
    """Return an IP address in its shortest form, an IPv4-mapped one as IPv4, or the beginning of another string."""
    parsed = _parse(address)
    return address[:_NAME_LENGTH] if parsed is None else str(parsed)


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])  # without the zone id of a link-local address
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed
