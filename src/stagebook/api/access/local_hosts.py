"""The check of the Host header field that protects a server without authentication against DNS rebinding.

A web page of `evil.example` may make the browser look its name up again and get 127.0.0.1. Its requests then reach this
server and are of the page's own origin, so that neither CORS nor the Origin header field stops them. Only their Host
shows them: the name that the attacker owns. A name that no attacker can own in the public DNS is safe: an IP address, a
name without a dot (`localhost`, the name of a container), and a name below a top-level domain that is reserved for
local use.
Sources: RFC 6761 (`localhost`, `test`), RFC 6762 (`local`), RFC 8375 (`home.arpa`), and `internal`, which ICANN
reserved for private use.
"""

import ipaddress
from collections.abc import Iterable

_LOCAL_DOMAINS = (".localhost", ".test", ".local", ".internal", ".home.arpa")


class LocalHosts:
    """The hosts by which an unauthenticated client may name this server. `names` are further ones."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)

    def allow(self, host: bytes) -> bool:
        """Return whether a value of the Host header field, with or without a port, is allowed.

        An empty value is allowed: browsers send a host, and only browsers are a danger.
        """
        name = _host_name(host.decode("latin-1").lower())
        return "." not in name or name in self._names or name.endswith(_LOCAL_DOMAINS) or _is_address(name)


def _host_name(host: str) -> str:
    """Return the host without its port, the brackets of an IPv6 address, and the final dot of an absolute name."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
