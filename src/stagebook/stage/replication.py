"""The life of one replication, as a table (user guide, "Participant Replication").

    (none) --Start--> LIVE --PUBLISHER_STOPPED--> AWAITING --PUBLISHER_RETURNED--> LIVE
                      LIVE, AWAITING --OVER--> ENDED

A replication shows one publisher of a source stage on a destination stage, where it is a participant of the same id:
the replica. When the publisher stops, the reconnect window says how long the replication waits for it to come back. A
stop that leaves nobody to wait for ends it at once.

Knows no clock, no stage, no session and no media.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from stagebook.stage.events import Cause

FOR_GOOD = frozenset({Cause.DISCONNECTED_BY_API, Cause.STAGE_DELETED, Cause.SHUTDOWN, Cause.CRASH_RECOVERY})
"""The reasons after which a participant does not come back: nobody is waited for, whatever the window."""


class Phase(StrEnum):
    """Where a replication is in its life."""

    LIVE = "live"
    AWAITING = "awaiting"
    ENDED = "ended"


class Turn(StrEnum):
    """What can happen to a replication."""

    PUBLISHER_STOPPED = "publisher_stopped"
    PUBLISHER_RETURNED = "publisher_returned"
    OVER = "over"


PHASES: Mapping[tuple[Phase, Turn], Phase] = {
    (Phase.LIVE, Turn.PUBLISHER_STOPPED): Phase.AWAITING,
    # A publisher that came back and left before its media flowed was never back: the window runs on.
    (Phase.AWAITING, Turn.PUBLISHER_STOPPED): Phase.AWAITING,
    (Phase.AWAITING, Turn.PUBLISHER_RETURNED): Phase.LIVE,
    (Phase.LIVE, Turn.OVER): Phase.ENDED,
    (Phase.AWAITING, Turn.OVER): Phase.ENDED,
}
"""Every legal turn. Nothing leads out of ENDED: a later Start is another replication."""


class Replication(msgspec.Struct, frozen=True, kw_only=True):
    """One replication. `deadline_ms` is when its window runs out, set while it waits for its publisher."""

    window_seconds: int
    phase: Phase = Phase.LIVE
    deadline_ms: int | None = None


def ends_with(replication: Replication, *, publication_ended: bool, cause: Cause) -> bool:
    """Return whether a replication ends when connections of its source end for this reason.

    `publication_ended` tells whether the publication is one of them. One that broke a limit is not waited for.
    """
    if cause in FOR_GOOD:
        return True
    return publication_ended and (replication.window_seconds == 0 or cause is Cause.LIMIT)


def publisher_stopped(replication: Replication, *, at_ms: int) -> Replication:
    """Return the replication when its publisher stopped at `at_ms` and is waited for; one that waits goes on so."""
    phase = PHASES[replication.phase, Turn.PUBLISHER_STOPPED]
    if replication.phase is Phase.AWAITING:
        return replication
    return msgspec.structs.replace(replication, phase=phase, deadline_ms=at_ms + replication.window_seconds * 1000)


def publisher_returned(replication: Replication) -> Replication:
    """Return the replication when its publisher's media flows again."""
    phase = PHASES[replication.phase, Turn.PUBLISHER_RETURNED]
    return msgspec.structs.replace(replication, phase=phase, deadline_ms=None)


def over(replication: Replication) -> Replication:
    """Return the replication after its end."""
    return msgspec.structs.replace(replication, phase=PHASES[replication.phase, Turn.OVER], deadline_ms=None)


def is_due(replication: Replication, *, now_ms: int) -> bool:
    """Return whether the window of a replication that waits has run out."""
    return replication.deadline_ms is not None and replication.deadline_ms <= now_ms
