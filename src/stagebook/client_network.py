"""The network of a client, for limits that an attacker must not evade by having many addresses.

An IPv4 address is a network of its own. An IPv6 subscriber has at least a /64 (RFC 6177), so single addresses say
nothing there. An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2), as a dual-stack socket returns it, is the IPv4
address.
"""

import ipaddress

_IPV6_NETWORK_BITS = 64
_NAME_LENGTH = 64


def network_of(address: str) -> str:
    """Return the network of an IP address, without its zone; the beginning of the string if it is not an address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_NAME_LENGTH]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
