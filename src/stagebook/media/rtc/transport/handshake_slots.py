"""Limits the DTLS handshakes that are in progress for one network address.

A handshake in progress costs a signature and some 100 KB for up to the connect timeout, and needs only a token and an
address. So an address may have only so many at a time. Further ones are not refused: their datagrams are dropped, the
peer repeats its ClientHello after a second (RFC 6347 section 4.2.4), and by then honest handshakes have made room.

A handshake that fails is logged with its reason, within the rate limit of log lines: whoever has a token can make any
number of them fail.
"""

import time
from collections.abc import Callable

import structlog

from stagebook.client_network import network_of
from stagebook.log_rate_limit import LogRateLimit

MAX_HANDSHAKES_PER_NETWORK = 64
"""Many people may share an address behind a NAT, but they seldom all begin within the same second."""

_log = structlog.get_logger(__name__)


class HandshakeSlots:
    """The handshakes in progress of one engine, by network. `clock` returns monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._in_progress: dict[str, int] = {}
        self._log_limit = LogRateLimit(clock=clock)

    def enter(self, ip: str) -> str | None:
        """Take a slot for a peer's IP address. Returns the network, for `leave`; None if the network has no more."""
        network = network_of(ip)
        count = self._in_progress.get(network, 0)
        if count >= MAX_HANDSHAKES_PER_NETWORK:
            return None
        self._in_progress[network] = count + 1
        return network

    def leave(self, network: str) -> None:
        """Give a slot back. Call it once for each `enter` that returned `network`."""
        count = self._in_progress[network] - 1
        if count:
            self._in_progress[network] = count
        else:
            # Only networks with a handshake in progress have an entry.
            del self._in_progress[network]

    def log_failure(self, *, connection_id: str, reason: str) -> None:
        """Log why the handshake of a connection failed."""
        if (suppressed := self._log_limit.admit("handshake")) is not None:
            _log.warning("dtls_handshake_failed", connection_id=connection_id, reason=reason, **suppressed)

    def __len__(self) -> int:
        """The number of handshakes in progress."""
        return sum(self._in_progress.values())
