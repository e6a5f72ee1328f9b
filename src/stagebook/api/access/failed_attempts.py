"""The limit on failed authentications, for each client network.

A credential that is random and long cannot be guessed at any rate. The limit keeps failures cheap: above it the
answer does not depend on what was sent, and nothing is logged. A valid credential is accepted whatever the network
has sent before, so that nobody can lock out a client with the same address, behind a NAT or a proxy.
"""

from collections.abc import Callable

from stagebook.api.access.token_bucket import TokenBuckets
from stagebook.client_network import network_of

FAILURES_BURST = 20
FAILURES_PER_SECOND = 1.0
TRACKED_NETWORKS = 10_000
"""Networks whose failures are counted at the same time. The least recently used one is dropped."""


class FailedAttempts:
    """Counts failures. `monotonic` returns seconds of a clock that never goes back."""

    def __init__(self, *, monotonic: Callable[[], float], tracked_networks: int = TRACKED_NETWORKS) -> None:
        self._buckets = TokenBuckets(
            burst=FAILURES_BURST, per_second=FAILURES_PER_SECOND, monotonic=monotonic, maximum=tracked_networks
        )

    def admit(self, address: str) -> bool:
        """Count one failure of a client with this IP address. Returns whether its network is still below the limit."""
        return self._buckets.take(network_of(address))
