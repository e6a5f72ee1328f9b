"""Limits the DTLS handshakes that are in progress for one network address.

A handshake in progress costs a signature and some 100 KB for up to the connect timeout, and needs only a token and an
address. So an address may have only so many at a time. Further ones are not refused: their datagrams are dropped, the
peer repeats its ClientHello after a second (RFC 6347 section 4.2.4), and by then honest handshakes have made room.

One that does not end makes room as well: after SLOT_SECONDS its slot goes to the next handshake, and it goes on without
one. Otherwise one client with a token could leave handshakes unfinished, and keep out all others behind its NAT. The
number of connections that are connecting (`sfu.connection_table`) bounds the handshakes of all addresses.

A handshake that fails is logged with its reason, within the rate limit of log lines: whoever has a token can make any
number of them fail.
"""

import itertools
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from stagebook.client_network import network_of
from stagebook.log_rate_limit import LogRateLimit

MAX_HANDSHAKES_PER_NETWORK = 64
"""Many people may share an address behind a NAT, but they seldom all begin within the same second."""

SLOT_SECONDS = 3.0
"""A handshake takes two round trips, and a second more if a datagram of it is lost."""

_log = structlog.get_logger(__name__)


class HandshakeSlot(NamedTuple):
    """One handshake in progress."""

    network: str
    number: int


class HandshakeSlots:
    """The handshakes in progress of one engine, by network. `clock` returns monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._in_progress: dict[str, dict[int, float]] = {}
        """When the handshakes of each network began, oldest first, by number."""
        self._clock = clock
        self._numbers = itertools.count()
        self._log_limit = LogRateLimit(clock=clock)

    def enter(self, ip: str) -> HandshakeSlot | None:
        """Take a slot for a peer's IP address. Returns it, for `leave`; None if the network has no more."""
        network, now = network_of(ip), self._clock()
        started = self._in_progress.setdefault(network, {})
        if len(started) >= MAX_HANDSHAKES_PER_NETWORK:
            oldest, started_at = next(iter(started.items()))
            if now - started_at < SLOT_SECONDS:
                return None
            del started[oldest]
        slot = HandshakeSlot(network, next(self._numbers))
        started[slot.number] = now
        return slot

    def leave(self, slot: HandshakeSlot) -> None:
        """Give a slot back. Call it once for each slot that `enter` returned."""
        started = self._in_progress.get(slot.network, {})
        started.pop(slot.number, None)
        if not started:
            # Only networks with a handshake in progress have an entry.
            self._in_progress.pop(slot.network, None)

    def log_failure(self, *, connection_id: str, reason: str) -> None:
        """Log why the handshake of a connection failed."""
        if (suppressed := self._log_limit.admit("handshake")) is not None:
            _log.warning("dtls_handshake_failed", connection_id=connection_id, reason=reason, **suppressed)

    def __len__(self) -> int:
        """The number of handshakes in progress that have a slot."""
        return sum(map(len, self._in_progress.values()))
