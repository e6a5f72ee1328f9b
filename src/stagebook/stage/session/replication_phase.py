"""The life of one replication, as a table (user guide, "Participant Replication").

    (none) --StartParticipantReplication--> LIVE --PUBLISHER_STOPPED--> AWAITING --PUBLISHER_RETURNED--> LIVE
                                            LIVE, AWAITING --OVER--> ENDED

A replication shows one publisher of a source stage on a destination stage, where it is a participant with the same id:
the replica. When the publisher stops, the replication waits for its return as long as the reconnect window says. A
stop after which the publisher cannot return ends the replication at once.

The source session holds the replication; the destination session holds the replica.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from stagebook.stage.clock import Instant
from stagebook.stage.events import Cause, ReplicationDestination

FINAL_CAUSES = frozenset({Cause.DISCONNECTED_BY_API, Cause.STAGE_DELETED, Cause.SHUTDOWN, Cause.CRASH_RECOVERY})
"""The causes after which a participant does not return. The replication does not wait, whatever its window is."""


class ReplicationPhase(StrEnum):
    """The phase of a replication."""

    LIVE = "live"
    AWAITING = "awaiting"
    ENDED = "ended"


class ReplicationTurn(StrEnum):
    """What moves a replication to another phase."""

    PUBLISHER_STOPPED = "publisher_stopped"
    PUBLISHER_RETURNED = "publisher_returned"
    OVER = "over"


REPLICATION_PHASES: Mapping[tuple[ReplicationPhase, ReplicationTurn], ReplicationPhase] = {
    (ReplicationPhase.LIVE, ReplicationTurn.PUBLISHER_STOPPED): ReplicationPhase.AWAITING,
    # A publisher that returned and left before its media flowed never returned: the window continues.
    (ReplicationPhase.AWAITING, ReplicationTurn.PUBLISHER_STOPPED): ReplicationPhase.AWAITING,
    (ReplicationPhase.AWAITING, ReplicationTurn.PUBLISHER_RETURNED): ReplicationPhase.LIVE,
    (ReplicationPhase.LIVE, ReplicationTurn.OVER): ReplicationPhase.ENDED,
    (ReplicationPhase.AWAITING, ReplicationTurn.OVER): ReplicationPhase.ENDED,
}
"""Each legal turn. Nothing leads out of ENDED: a later start is another replication."""


class Replication(msgspec.Struct, frozen=True, kw_only=True):
    """One running replication. `deadline_ms` is the monotonic time at which its window closes, while it waits."""

    destination: ReplicationDestination
    window_seconds: int
    phase: ReplicationPhase = ReplicationPhase.LIVE
    deadline_ms: int | None = None


def ends_with(replication: Replication, *, publication_ended: bool, cause: Cause) -> bool:
    """Return whether a replication ends when connections of its publisher end for this cause.

    `publication_ended` says whether the publication is one of them. A replication does not wait for a publisher that
    broke a limit.
    """
    if cause in FINAL_CAUSES:
        return True
    return publication_ended and (replication.window_seconds == 0 or cause is Cause.LIMIT)


def publisher_stopped(replication: Replication, *, at: Instant) -> Replication:
    """Return the replication after its publisher stopped and is awaited.

    The deadline is on the monotonic clock. A window that is open already keeps its deadline. Raises KeyError for a
    replication that has ended.
    """
    phase = REPLICATION_PHASES[replication.phase, ReplicationTurn.PUBLISHER_STOPPED]
    if replication.phase is ReplicationPhase.AWAITING:
        return replication
    deadline_ms = at.monotonic_ms + replication.window_seconds * 1000
    return msgspec.structs.replace(replication, phase=phase, deadline_ms=deadline_ms)


def publisher_returned(replication: Replication) -> Replication:
    """Return the replication after the media of its publisher flows again."""
    phase = REPLICATION_PHASES[replication.phase, ReplicationTurn.PUBLISHER_RETURNED]
    return msgspec.structs.replace(replication, phase=phase, deadline_ms=None)
