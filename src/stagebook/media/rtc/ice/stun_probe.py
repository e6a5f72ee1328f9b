"""Binding requests of our own, which prove that a peer is at an address now (RFC 8445 section 7.3, RFC 7675).

A connectivity check proves that its sender has read our answer, but not that it was sent now, nor from where: whoever
has captured one can send it again, from another address or with a forged one. If the path followed such a check, media
would go there until the peer's next check. SRTP has a protection against replay and STUN has none, but a request of
ours has: its transaction id is random, and the response to it is signed with the peer's password.

A lite agent need not send requests (RFC 8445 section 2.5), but a full agent answers each valid one, on every candidate.
So we send one to each new address from which a check has come, and to the path if nothing else has proved for a while
that the peer is there.
"""

from collections.abc import Callable

import msgspec

from stagebook.media.rtc.ice import stun
from stagebook.media.rtc.ice.udp_socket import Path

TRANSACTION_ID_SIZE_BYTES = 12
"""RFC 8489 section 5."""
REPEAT_SECONDS = 1.0
"""A further request to the same address takes a new transaction id after so long. Before that, none is sent: a response
may be under way."""
MAX_PENDING = 16
"""Addresses whose response is awaited, as many as a connection has."""


class PendingProbe(msgspec.Struct, kw_only=True):
    """A request without a response so far. `nominated` says whether a check has nominated the pair."""

    transaction_id: bytes
    sent_at: float
    nominated: bool


class StunProbes:
    """The requests of one connection."""

    def __init__(self, make_transaction_id: Callable[[], bytes]) -> None:
        """`make_transaction_id` returns 12 random bytes that nobody can guess."""
        self._make_transaction_id = make_transaction_id
        self._pending: dict[Path, PendingProbe] = {}

    def send(self, path: Path, *, username: str, password: str, nominated: bool, now: float) -> None:
        """Send a request over `path`, unless one is under way. `username` and `password` are those by which the peer
        knows us (RFC 8445 section 7.2.2)."""
        pending = self._pending.pop(path, None)
        if pending is not None and now - pending.sent_at < REPEAT_SECONDS:
            pending.nominated |= nominated
        else:
            pending = PendingProbe(transaction_id=self._make_transaction_id(), sent_at=now, nominated=nominated)
            path.send(stun.binding_request(pending.transaction_id, username=username, password=password.encode()))
        self._pending[path] = pending
        if len(self._pending) > MAX_PENDING:
            del self._pending[next(iter(self._pending))]

    def take_response(self, datagram: bytes, path: Path, *, password: str) -> PendingProbe | None:
        """Return the request that a datagram from `path` answers, and forget it; None if it is no valid response."""
        pending = self._pending.get(path)
        if pending is None or not stun.is_success_response(datagram, pending.transaction_id, password.encode()):
            return None
        return self._pending.pop(path)
