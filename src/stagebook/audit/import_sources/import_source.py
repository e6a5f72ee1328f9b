"""What an import reads: events with the places that they come from, times, and how much it was."""

from datetime import datetime
from typing import TypeAlias

import msgspec

from stagebook.audit.book_rules import BookRule, RuleBrokenError, Violation
from stagebook.audit.participant_audit import Fault
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.composition_log import LogEntry, LoggedCompositionEvent
from stagebook.stage.timestamps import epoch_ms

SourcedEvent: TypeAlias = tuple[LogEntry, int]
"""An event and the place that it comes from, see `Places`."""

_PLACE_SHIFT = 40
END_OF_TIMES_MS = 253_402_300_800_000
"""The year 10000, which ISO 8601 does not have."""
END_OF_EVENTS_MS = 1 << (63 - SEQUENCE_TIME_SHIFT)
"""The first time without a sequence number, in the year 2248."""


class Places:
    """The places of a source as integers: the number of the file, and of the line in it. A million cost 32 MB."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def add_file(self, name: str) -> int:
        """Return the place of line 0 of another file; the place of a line is that many more."""
        self._names.append(name)
        return len(self._names) - 1 << _PLACE_SHIFT

    def text(self, place: int) -> str:
        """Return a place as `<file>:<line>`."""
        line = place & ((1 << _PLACE_SHIFT) - 1)
        return f"{self._names[place >> _PLACE_SHIFT]}:{line}" if line else self._names[place >> _PLACE_SHIFT]

    def refusal(
        self,
        rule: BookRule,
        detail: str,
        place: int,
        *,
        session: tuple[str, str] = ("", ""),
        participant_id: str = "",
        event_id: str = "",
    ) -> RuleBrokenError:
        """Return the error for what breaks a rule at a place."""
        return RuleBrokenError(
            Violation(
                rule=rule.name,
                detail=detail,
                stage_arn=session[0],
                session_id=session[1],
                participant_id=participant_id,
                event_id=event_id,
                source=self.text(place),
            )
        )

    def event_refusal(self, rule: BookRule, detail: str, place: int, logged: LogEntry) -> RuleBrokenError:
        """Return the error for an event that breaks a rule."""
        if isinstance(logged, LoggedCompositionEvent):
            return self.refusal(
                rule,
                f"{logged.composition_arn}: {detail}",
                place,
                session=(logged.stage_arn, ""),
                event_id=logged.event_id,
            )
        return self.refusal(
            rule,
            detail,
            place,
            session=(logged.stage_arn, logged.session_id),
            participant_id=logged.participant_id,
            event_id=logged.event_id,
        )

    def fault_refusal(self, fault: Fault, session: tuple[str, str], participant_id: str) -> RuleBrokenError:
        """Return the error for what the audit of a participant has found."""
        rule, detail, place = fault
        return self.refusal(rule, detail, place, session=session, participant_id=participant_id)


class ImportSummary(msgspec.Struct, kw_only=True):
    """What an import has read: `events` are new, `known_events` were in the book already.

    `account_ids` are the owners of the stages. `newest_ms` is the time of the newest event or session end, 0 without
    one.
    """

    stages: int = 0
    sessions: int = 0
    participants: int = 0
    compositions: int = 0
    events: int = 0
    known_events: int = 0
    account_ids: set[str] = msgspec.field(default_factory=set)
    newest_ms: int = 0


def parse_time_ms(value: object) -> int:
    """Return a time in ms since the epoch: ISO 8601 with an offset, or seconds since the epoch. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is no time")
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value[:64]!r} is not ISO 8601") from None
        if parsed.tzinfo is None:
            raise ValueError(f"{value[:64]!r} has no offset from UTC")
        time_ms = epoch_ms(parsed)
    else:
        if not 0 <= value < END_OF_TIMES_MS:
            raise ValueError(f"{value} is no time in seconds since the epoch")
        time_ms = round(value * 1_000)
    if not 0 <= time_ms < END_OF_TIMES_MS:
        raise ValueError(f"{value!r} is before 1970 or after the year 9999")
    return time_ms
