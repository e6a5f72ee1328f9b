"""Which addresses our candidates name: what the settings announce, or what the sockets are bound to."""

import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

# Addresses for documentation (RFC 5737, RFC 3849): connecting a UDP socket to them sends nothing, it only asks the
# system which of its own addresses it would send from.
_OUTSIDE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_ANY_PORT = 9


def candidate_ips(*, bind_addresses: Sequence[str], announced_addresses: Sequence[str]) -> tuple[str, ...]:
    """The IPs of our candidates, preferred first. A wildcard stands for the host's outward address and loopback."""
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
            probe.connect((_OUTSIDE[family], _ANY_PORT))
            yield str(probe.getsockname()[0])
        except OSError:
            # No route outwards: loopback alone remains.
            pass
    yield _LOOPBACK[family]
