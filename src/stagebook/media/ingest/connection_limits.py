"""How many connections strangers may hold, and who is not listened to for a while. Counting only: knows no socket."""

import ipaddress
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Final

MAX_REFUSALS: Final = 30
REFUSALS_WINDOW_SECONDS: Final = 60.0
SHUT_OUT_SECONDS: Final = 60.0
"""Whoever had more than MAX_REFUSALS keys refused within the window is not listened to for so long: keys are not to be
guessed, and refusing costs. An encoder that tries its wrong key every two seconds does not come to it."""

_IPV6_NETWORK_BITS: Final = 64
_TIDY_INTERVAL_SECONDS: Final = 1.0


def network_of(address: str) -> str:
    """Return what is counted as one: an IPv4 address, or the /64 of an IPv6 address, which is one subscriber's
    (RFC 6177). An IPv4 address in IPv6's clothes (RFC 4291 section 2.5.5.2) is an IPv4 address. Text that is no address
    is itself."""
    plain = _plain(address)
    if isinstance(plain, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((plain, _IPV6_NETWORK_BITS), strict=False))
    return address if plain is None else str(plain)


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed


class Connections:
    """The open connections by network, and the refusals of late."""

    def __init__(
        self,
        *,
        max_connections: int,
        max_per_network: int,
        clock: Callable[[], float],
        shared_networks: Iterable[str] = (),
    ) -> None:
        """`shared_networks` are not one stranger's but a proxy's: of their connections all may be taken, and none is
        shut out for what another did. Raises ValueError for one that is no network."""
        self._max_connections = max_connections
        self._max_per_network = max_per_network
        self._clock = clock
        self._shared = [ipaddress.ip_network(network) for network in shared_networks]
        self._open: Counter[str] = Counter()
        self._refusals: dict[str, deque[float]] = {}
        self._shut_out: dict[str, float] = {}
        self._tidy_at = 0.0

    def counted_as(self, address: str) -> str:
        """Return the network by which an address is known to the other methods: `network_of` it, or of a shared network
        the address alone, which has neighbours that are not shared."""
        plain = str(_plain(address))
        return plain if self._is_shared(plain) else network_of(address)

    def why_not(self, network: str) -> str | None:
        """Return why no connection of this network is taken now, or None."""
        if self.is_shut_out(network):
            return "too many wrong stream keys"
        if self._open[network] >= self._max_per_network and not self._is_shared(network):
            return f"more than {self._max_per_network} connections of one address"
        if self._open.total() >= self._max_connections:
            return f"more than {self._max_connections} connections"
        return None

    def is_shut_out(self, network: str) -> bool:
        """Whether this network is not listened to."""
        until = self._shut_out.get(network)
        if until is None:
            return False
        if self._clock() < until:
            return True
        del self._shut_out[network]
        return False

    def open(self, network: str) -> None:
        """Count a connection."""
        self._open[network] += 1

    def close(self, network: str) -> None:
        """Count it no more."""
        self._open[network] -= 1
        if not self._open[network]:
            del self._open[network]

    def refuse(self, network: str) -> bool:
        """Count a refused key. Returns True if with this one the network is shut out."""
        if self._is_shared(network):
            return False
        now = self._clock()
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_INTERVAL_SECONDS
            self._forget(now - REFUSALS_WINDOW_SECONDS)
        times = self._refusals.setdefault(network, deque())
        while times and times[0] < now - REFUSALS_WINDOW_SECONDS:
            times.popleft()
        times.append(now)
        if len(times) <= MAX_REFUSALS or self.is_shut_out(network):
            return False
        del self._refusals[network]
        self._shut_out[network] = now + SHUT_OUT_SECONDS
        return True

    def _is_shared(self, network: str) -> bool:
        try:
            address = ipaddress.ip_address(network)
        except ValueError:
            return False
        return any(address in shared for shared in self._shared)

    def _forget(self, before: float) -> None:
        """Keep nothing of a network that has behaved since: memory does not grow with the strangers met."""
        for network, times in list(self._refusals.items()):
            while times and times[0] < before:
                times.popleft()
            if not times:
                del self._refusals[network]
        now = self._clock()
        for network in [network for network, until in self._shut_out.items() if until <= now]:
            del self._shut_out[network]
