"""Limits for clients that have not named a valid stream key: connections per network, and refused keys per network.

Connections are counted by the client's network (`client_network.py`). Behind a proxy many encoders share one address,
so the networks of known proxies ("shared networks") are exempt from the limits per network.

A network with more than MAX_REFUSALS refused keys within REFUSALS_WINDOW_SECONDS is blocked for BLOCK_SECONDS. That
makes guessing keys useless and bounds the cost of refusing. An encoder that retries a wrong key every two seconds stays
below the limit.
"""

import ipaddress
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Final

from stagebook.client_network import network_of, plain_address

MAX_REFUSALS: Final = 30
REFUSALS_WINDOW_SECONDS: Final = 60.0
BLOCK_SECONDS: Final = 60.0

_PRUNE_INTERVAL_SECONDS: Final = 1.0


class ConnectionLimits:
    """Counts open connections and recently refused keys by network."""

    def __init__(
        self,
        *,
        max_connections: int,
        max_per_network: int,
        clock: Callable[[], float],
        shared_networks: Iterable[str] = (),
    ) -> None:
        """`clock` returns monotonic seconds. `shared_networks` are addresses or networks in CIDR notation.

        Raises ValueError for a shared network that is neither.
        """
        self._max_connections = max_connections
        self._max_per_network = max_per_network
        self._clock = clock
        self._shared = [ipaddress.ip_network(network) for network in shared_networks]
        self._open: Counter[str] = Counter()
        self._refusals: dict[str, deque[float]] = {}
        """The times of the refused keys of the last REFUSALS_WINDOW_SECONDS."""
        self._blocked_until: dict[str, float] = {}
        self._prune_at = 0.0

    def network_key(self, address: str) -> str:
        """Return the key by which the other methods know an address.

        It is `network_of(address)`. For an address in a shared network it is the address alone, because its /64 may
        hold addresses that are not shared.
        """
        plain = plain_address(address)
        return plain if self._is_shared(plain) else network_of(address)

    @property
    def total_reason(self) -> str | None:
        """Why no network may open a further connection, or None."""
        is_full = self._open.total() >= self._max_connections
        return f"more than {self._max_connections} connections" if is_full else None

    def refusal_reason(self, network: str) -> str | None:
        """Return why this network may not open a further connection, whatever the others have open, or None."""
        if self.is_blocked(network):
            return "too many wrong stream keys"
        if self._open[network] >= self._max_per_network and not self._is_shared(network):
            return f"more than {self._max_per_network} connections of one address"
        return None

    def is_blocked(self, network: str) -> bool:
        """Whether the network is blocked because of refused keys."""
        until = self._blocked_until.get(network)
        if until is None:
            return False
        if self._clock() < until:
            return True
        del self._blocked_until[network]
        return False

    def add_connection(self, network: str) -> None:
        """Count an accepted connection."""
        self._open[network] += 1

    def remove_connection(self, network: str) -> None:
        """Stop counting a connection that has ended."""
        self._open[network] -= 1
        if not self._open[network]:
            del self._open[network]

    def add_refusal(self, network: str) -> bool:
        """Count a refused key. Returns True if the network is blocked from now on.

        Running streams of a blocked network go on: another client behind the same address may have guessed.
        """
        if self._is_shared(network):
            return False
        now = self._clock()
        if now >= self._prune_at:
            self._prune_at = now + _PRUNE_INTERVAL_SECONDS
            self._prune(now - REFUSALS_WINDOW_SECONDS)
        times = self._refusals.setdefault(network, deque())
        while times and times[0] < now - REFUSALS_WINDOW_SECONDS:
            times.popleft()
        times.append(now)
        if len(times) <= MAX_REFUSALS or self.is_blocked(network):
            return False
        del self._refusals[network]
        self._blocked_until[network] = now + BLOCK_SECONDS
        return True

    def _is_shared(self, network: str) -> bool:
        try:
            address = ipaddress.ip_address(network)
        except ValueError:
            return False
        return any(address in shared for shared in self._shared)

    def _prune(self, before: float) -> None:
        """Forget refusals before a time and expired blocks, so that the memory does not grow with each new client."""
        for network, times in list(self._refusals.items()):
            while times and times[0] < before:
                times.popleft()
            if not times:
                del self._refusals[network]
        now = self._clock()
        for network in [network for network, until in self._blocked_until.items() if until <= now]:
            del self._blocked_until[network]
