"""When a node may take the accounts of others: only after it has been in contact with the database for a whole lease.

Heartbeats grow old for two reasons: the node that should renew them is dead, or the database did not answer. After an
outage of the database all heartbeats are old, and the first node that looks would fence all others, which are alive. So
a node takes nothing until its own contact has lasted for LEASE_SECONDS without a gap: by then each node that lives has
renewed its heartbeat, because all of them do so every HEARTBEAT_SECONDS.

Contact is interrupted by

* an error,
* a gap: an answer that comes more than MAXIMUM_GAP_SECONDS after the one before. A database that is stopped raises no
  error, and neither does a node that is stopped together with it. In a shorter gap, no heartbeat becomes too old:
  MAXIMUM_GAP_SECONDS + 2 * HEARTBEAT_SECONDS < LEASE_SECONDS.
* a jump of the database's clock relative to the monotonic clock of the node, which makes heartbeats look old.
"""

from typing import Final

from stagebook.book.postgres.leases.node_run import LEASE_SECONDS

MAXIMUM_GAP_SECONDS: Final = 1.5
MAXIMUM_JUMP_SECONDS: Final = 1.0


class DatabaseContact:
    """Notes the answers of the database. Times are monotonic seconds of this node, unless said otherwise."""

    def __init__(self, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._lease_seconds = lease_seconds
        self._maximum_gap_seconds = MAXIMUM_GAP_SECONDS * lease_seconds / LEASE_SECONDS
        self._since: float | None = None
        self._last = 0.0
        self._clock_offset = 0.0

    def note_answer(self, now: float, *, database_seconds: float) -> None:
        """Note an answer of the database, and what its clock said."""
        offset = database_seconds - now
        has_gap = now - self._last > self._maximum_gap_seconds
        has_jumped = abs(offset - self._clock_offset) > MAXIMUM_JUMP_SECONDS
        if self._since is None or has_gap or has_jumped:
            self._since = now
        # Compared with the answer before: the drift of two clocks is no jump.
        self._clock_offset = offset
        self._last = now

    def note_failure(self) -> None:
        """Note that the database did not answer."""
        self._since = None

    def may_take(self, now: float) -> bool:
        """Return whether heartbeats that are too old are those of dead runs."""
        return (
            self._since is not None
            and now - self._since >= self._lease_seconds
            and now - self._last <= self._maximum_gap_seconds
        )
