"""The addresses of our host candidates (RFC 8445 sections 5.1.1.1 and 5.2).

The operator's announced addresses are used as they are: behind a static NAT they are the only ones that a peer can
reach. Without them, the candidates are the addresses to which the sockets are bound. A wildcard address stands for all
addresses of the host. Linux lists them under /proc/net; elsewhere only the address of the default route is known.
"""

import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

# Documentation addresses (RFC 5737, RFC 3849). Connecting a UDP socket to one sends nothing: it only makes the system
# choose the local address from which it would send.
_EXTERNAL_PROBE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_PROBE_PORT = 9
_MAX_HOST_IPS = 16
"""Addresses for one wildcard address: each becomes a candidate, and a peer checks every one."""
_GLOBAL_SCOPE = "00"
_TENTATIVE_OR_DEPRECATED = 0x40 | 0x20


def candidate_ips(*, bind_addresses: Sequence[str], announced_addresses: Sequence[str]) -> tuple[str, ...]:
    """Return the IP addresses of our candidates, without duplicates, the preferred address first.

    A wildcard bind address (0.0.0.0 or ::) is replaced by the address of the host's default route, the other addresses
    of the host (at most 16, without link-local ones), and loopback.
    """
    if announced_addresses:
        return tuple(dict.fromkeys(announced_addresses))
    found: list[str] = []
    for bind_address in bind_addresses:
        if ip_address(bind_address).is_unspecified:
            family = socket.AF_INET6 if ":" in bind_address else socket.AF_INET
            found += [*_default_route_ip(family), *list(_interface_ips(family))[:_MAX_HOST_IPS], _LOOPBACK[family]]
        else:
            found.append(bind_address)
    return tuple(dict.fromkeys(found))


def _default_route_ip(family: socket.AddressFamily) -> Iterator[str]:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_EXTERNAL_PROBE[family], _PROBE_PORT))
            yield str(probe.getsockname()[0])
        except OSError:
            # The host has no default route.
            return


def _interface_ips(family: socket.AddressFamily) -> Iterator[str]:
    """The addresses of the host's interfaces, except loopback and link-local ones."""
    try:
        if family == socket.AF_INET:
            lines = Path("/proc/net/fib_trie").read_text(encoding="utf-8").splitlines()
            yield from dict.fromkeys(_ipv4_addresses(lines))
        else:
            yield from _ipv6_addresses(Path("/proc/net/if_inet6").read_text(encoding="utf-8").splitlines())
    except OSError:
        return


def _ipv4_addresses(lines: Sequence[str]) -> Iterator[str]:
    """The local addresses in a routing trie: each is a line `|-- <address>` before the line `/32 host LOCAL`."""
    for line, description in pairwise(lines):
        if description.split() == ["/32", "host", "LOCAL"]:
            address = line.split()[-1]
            if not ip_address(address).is_loopback and not ip_address(address).is_link_local:
                yield address


def _ipv6_addresses(lines: Sequence[str]) -> Iterator[str]:
    """The usable addresses of global scope: a line holds address, interface, prefix length, scope, flags and name."""
    for line in lines:
        digits, _, _, scope, flags, *_ = line.split()
        if scope == _GLOBAL_SCOPE and not int(flags, 16) & _TENTATIVE_OR_DEPRECATED:
            yield str(ip_address(bytes.fromhex(digits)))
