"""The life of one stage session, as a table.

    OPEN --EMPTIED--> LINGERING --FILLED--> OPEN
                      LINGERING --LINGER_OVER--> ENDED

A session opens with the first participant that appears and ends when nobody was present for the linger. Its end is
the last LEFT plus the linger, whenever that is noticed (shape StageSession: a session groups a stage's activity). A
publisher who is away while a replication waits for it keeps the session open: its REPLICATION_STOPPED is still to come.

Knows no clock and no ids: both are passed in.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """Where a session is in its life."""

    OPEN = "open"
    LINGERING = "lingering"
    ENDED = "ended"


class Turn(StrEnum):
    """What can happen to a session."""

    FILLED = "filled"
    EMPTIED = "emptied"
    LINGER_OVER = "linger_over"


PHASES: Mapping[tuple[Phase, Turn], Phase] = {
    (Phase.OPEN, Turn.FILLED): Phase.OPEN,
    (Phase.OPEN, Turn.EMPTIED): Phase.LINGERING,
    (Phase.LINGERING, Turn.FILLED): Phase.OPEN,
    (Phase.LINGERING, Turn.EMPTIED): Phase.LINGERING,
    (Phase.LINGERING, Turn.LINGER_OVER): Phase.ENDED,
}
"""Every legal turn. Nothing leads out of ENDED: who comes later opens another session."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One session: how many participants are present, how many others are awaited back, and since when there is nobody
    of either kind (None while there is)."""

    phase: Phase = Phase.OPEN
    present: int = 0
    awaited: int = 0
    empty_since_ms: int | None = None


def present_changed(session: Session, *, present: int, awaited: int = 0, at_ms: int) -> Session:
    """Return the session when `present` participants are on the stage and `awaited` others wanted back, at `at_ms`.

    Also the first call for a new session, which one refused attempt can open with nobody present.
    """
    turn = Turn.FILLED if present or awaited else Turn.EMPTIED
    phase = PHASES[session.phase, turn]
    since_ms = at_ms if session.empty_since_ms is None else session.empty_since_ms
    empty_since_ms = None if turn is Turn.FILLED else since_ms
    return Session(phase=phase, present=present, awaited=awaited, empty_since_ms=empty_since_ms)


def attempted(session: Session, *, at_ms: int) -> Session:
    """Return the session after a refused attempt at `at_ms`: a lingering one lingers anew, so the event is inside."""
    if session.phase is Phase.LINGERING:
        return msgspec.structs.replace(session, empty_since_ms=at_ms)
    return session


def end_ms(session: Session, *, linger_ms: int) -> int | None:
    """Return when a lingering session ends, or None for one that is open."""
    return None if session.empty_since_ms is None else session.empty_since_ms + linger_ms


def ended(session: Session) -> Session:
    """Return the session after its linger is over."""
    return Session(phase=PHASES[session.phase, Turn.LINGER_OVER], empty_since_ms=session.empty_since_ms)
