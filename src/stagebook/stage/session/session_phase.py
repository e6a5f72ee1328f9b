"""The phases of a stage session, as a table (shape StageSession: a session groups the activity on a stage).

    UNOPENED --FILLED--> OPEN
    UNOPENED --EMPTIED--> LINGERING    the first event is a refused attempt
    OPEN --EMPTIED--> LINGERING --FILLED--> OPEN
    LINGERING --LINGER_OVER--> ENDED
    any --CLOSED--> ENDED

A session opens with its first event: the JOINED of a participant, or a refused attempt. It lingers while no
participant is on the stage, so that a short absence does not split it. It ends `linger` after the last participant
left, or at once when its stage is deleted or the server stops. A publisher that has left while a replication waits for
it keeps the session open, because its REPLICATION_STOPPED is still to come.
"""

from collections.abc import Mapping
from enum import StrEnum


class SessionPhase(StrEnum):
    """The phase of a session. UNOPENED: nothing is recorded yet, only attempts are in progress."""

    UNOPENED = "unopened"
    OPEN = "open"
    LINGERING = "lingering"
    ENDED = "ended"


class SessionTurn(StrEnum):
    """What moves a session to another phase."""

    FILLED = "filled"
    EMPTIED = "emptied"
    LINGER_OVER = "linger_over"
    CLOSED = "closed"


SESSION_PHASES: Mapping[tuple[SessionPhase, SessionTurn], SessionPhase] = {
    (SessionPhase.UNOPENED, SessionTurn.FILLED): SessionPhase.OPEN,
    (SessionPhase.UNOPENED, SessionTurn.EMPTIED): SessionPhase.LINGERING,
    (SessionPhase.OPEN, SessionTurn.FILLED): SessionPhase.OPEN,
    (SessionPhase.OPEN, SessionTurn.EMPTIED): SessionPhase.LINGERING,
    (SessionPhase.LINGERING, SessionTurn.FILLED): SessionPhase.OPEN,
    (SessionPhase.LINGERING, SessionTurn.EMPTIED): SessionPhase.LINGERING,
    (SessionPhase.LINGERING, SessionTurn.LINGER_OVER): SessionPhase.ENDED,
    (SessionPhase.UNOPENED, SessionTurn.CLOSED): SessionPhase.ENDED,
    (SessionPhase.OPEN, SessionTurn.CLOSED): SessionPhase.ENDED,
    (SessionPhase.LINGERING, SessionTurn.CLOSED): SessionPhase.ENDED,
}
"""Each legal turn. Nothing leads out of ENDED: a later arrival opens another session."""
