"""The open HTTP connections and websockets of each network, so that one cannot take all places of the server.

`connections_limit` bounds what all clients have open. Without a share of it for each network, a client that opens so
many connections and sends nothing would keep everybody else out, and open them again when they time out. Behind a
reverse proxy all clients have its address, so the networks of trusted proxies have no share.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable

from stagebook.client_network import network_of


class ConnectionCounts:
    """Counts connections by network, each with at most `max_per_network` of them."""

    def __init__(self, *, max_per_network: int, shared_networks: Iterable[str] = ()) -> None:
        """`shared_networks` are addresses or networks in CIDR notation that have no limit of their own."""
        self._max_per_network = max_per_network
        self._shared = [ipaddress.ip_network(network) for network in shared_networks]
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> str:
        """Count a connection from an IP address. Returns its network, for the other methods: "" if it has no limit."""
        if self._is_shared(address):
            return ""
        network = network_of(address)
        self._open[network] += 1
        return network

    def leave(self, network: str) -> None:
        """Count the end of a connection of a network. Call it once for each `enter` that returned the network."""
        if network:
            self._open[network] -= 1
            if not self._open[network]:
                del self._open[network]

    def is_above(self, network: str, margin: int) -> bool:
        """Return whether a network has more than `margin` connections above its share."""
        return self._open[network] > self._max_per_network + margin if network else False

    def __len__(self) -> int:
        """The number of networks with open connections."""
        return len(self._open)

    def _is_shared(self, address: str) -> bool:
        if not address:  # not an IP socket
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        return any(parsed in network for network in self._shared)
