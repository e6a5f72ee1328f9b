"""Who may scrape: clients in the configured networks, and holders of a key of the watch API.

A Prometheus server on the same machine or in the same private network needs no key. Three things could make a stranger
look like one, and each is checked:

* A reverse proxy on this machine connects from a loopback address. If it says for whom it connects (X-Forwarded-For or
  Forwarded) and is no trusted proxy, the client is unknown and needs a key. For a trusted proxy the HTTP server has
  replaced the address by that of the client, and the port by the one that the proxy names, usually none. A proxy that
  says nothing is recognised only if it keeps the public name of the server in the Host header field.
* A web page of another origin can send the request but cannot read the response: it has no CORS header fields.
* A web page whose own host name resolves to this machine (DNS rebinding) could read it. Its Host header field shows it.
"""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from stagebook.api.asgi import Scope
from stagebook.api.routes.api_route import ApiAccess, Role
from stagebook.api.watch.access.authenticated import forbidden, unauthenticated
from stagebook.client_network import plain_address

METRICS_PATH: Final = "/metrics"
READ_METRICS: Final = "stagebook:ReadMetrics"
"""The action in policies. Metrics are about the whole server, so the resource is every resource."""
_FORWARDED: Final = frozenset((b"x-forwarded-for", b"forwarded"))

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class MetricsAccess:
    """The check of a scrape."""

    def __init__(self, *, networks: Iterable[str], allows_host: Callable[[bytes], bool], keys: ApiAccess) -> None:
        """`networks` (addresses and networks in CIDR notation) need no key. `allows_host` returns whether a Host header
        field is one that no web page of the internet can have. `keys` authenticates the others."""
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)
        self._allows_host = allows_host
        self._keys = keys

    async def require(self, scope: Scope) -> None:
        """Raise ApiRefusedError unless the client may read the metrics: 401 without a key, 403 for its host."""
        headers = dict(scope["headers"])
        if b"authorization" in headers:
            watcher = await self._keys.authenticate(scope, _no_body)
            watcher.require(READ_METRICS, Role.READER)
            return
        if not self._is_near(scope, headers):
            raise unauthenticated("scrape from a network of the setting metrics_networks, or with a key")
        if not self._allows_host(headers.get(b"host", b"")):
            raise forbidden("without a key, name the server by an IP address or a local name")

    def _is_near(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Return whether the client is known to be in one of the networks."""
        host, port = scope.get("client") or ("", 0)
        if port and not _FORWARDED.isdisjoint(headers):
            return False
        try:
            address = ipaddress.ip_address(plain_address(host))
        except ValueError:
            return False
        return any(address in network for network in self._networks)


async def _no_body() -> bytes:
    """Return the body of a scrape."""
    return b""
