"""The addresses of our host candidates (RFC 8445 sections 5.1.1.1 and 5.2).

The operator's announced addresses are used as they are: behind a static NAT they are the only ones that a peer can
reach. Without them, the candidates are the addresses to which the sockets are bound.
"""

import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

# Documentation addresses (RFC 5737, RFC 3849). Connecting a UDP socket to one sends nothing: it only makes the system
# choose the local address from which it would send.
_EXTERNAL_PROBE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_PROBE_PORT = 9


def candidate_ips(*, bind_addresses: Sequence[str], announced_addresses: Sequence[str]) -> tuple[str, ...]:
    """Return the IP addresses of our candidates, without duplicates, the preferred address first.

    A wildcard bind address (0.0.0.0 or ::) is replaced by the address of the host's default route and loopback.
    """
    if announced_addresses:
        return tuple(dict.fromkeys(announced_addresses))
    found: list[str] = []
    for bind_address in bind_addresses:
        if ip_address(bind_address).is_unspecified:
            found += _host_ips(socket.AF_INET6 if ":" in bind_address else socket.AF_INET)
        else:
            found.append(bind_address)
    return tuple(dict.fromkeys(found))


def _host_ips(family: socket.AddressFamily) -> Iterator[str]:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_EXTERNAL_PROBE[family], _PROBE_PORT))
            yield str(probe.getsockname()[0])
        except OSError:
            # The host has no default route: only loopback is usable.
            pass
    yield _LOOPBACK[family]
