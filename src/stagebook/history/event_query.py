"""The filters of events, which are the same in search, live tail, webhooks and export."""

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from stagebook.book.composition_log import LogEntry, LoggedCompositionEvent
from stagebook.stage.composition.composition_events import CompositionCause, CompositionErrorCode, CompositionEventName
from stagebook.stage.events import Cause, ErrorCode, EventName

ANY_ERROR: Final = "any"
"""What users give instead of an error code for all events with one."""
EVENT_LOG_NAMES: Final[tuple[str, ...]] = (*EventName, *CompositionEventName)
"""The names of the events of participants and of compositions."""
EVENT_LOG_ERRORS: Final[tuple[str, ...]] = (ANY_ERROR, *ErrorCode, *CompositionErrorCode)
"""The error codes of both, and `any`."""
EVENT_LOG_CAUSES: Final[tuple[str, ...]] = tuple(dict.fromkeys([*Cause, *CompositionCause]))
"""The causes of both."""


def _one_of(texts: Collection[str]) -> msgspec.Meta:
    """Return the rule of a text that is one of these."""
    # `$` alone would also match before a line break at the end.
    return msgspec.Meta(pattern=f"^({'|'.join(texts)})$(?!\n)", extra_json_schema={"enum": list(texts)})


EventLogName: TypeAlias = Annotated[str, _one_of(EVENT_LOG_NAMES)]
EventLogError: TypeAlias = Annotated[str, _one_of(EVENT_LOG_ERRORS)]
EventLogCause: TypeAlias = Annotated[str, _one_of(EVENT_LOG_CAUSES)]


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events match: those that match every member that is given. None, or an empty set, matches every event.

    `names` are of events of participants, and `composition_names` of those of compositions: with either of them, an
    event matches whose name is in one. The error codes and the causes are the same.
    `any_error` matches events with any error code. `since_ms` is inclusive and `until_ms` exclusive, both in
    milliseconds since the epoch.
    """

    account_id: str | None = None
    stage_arn: str | None = None
    session_id: str | None = None
    participant_id: str | None = None
    user_id: str | None = None
    composition_arn: str | None = None
    names: frozenset[EventName] = frozenset()
    composition_names: frozenset[CompositionEventName] = frozenset()
    error_code: ErrorCode | None = None
    composition_error_code: CompositionErrorCode | None = None
    any_error: bool = False
    cause: Cause | None = None
    composition_cause: CompositionCause | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def can_match_participants(self) -> bool:
        """Whether events of participants can match: the filter asks for nothing that only compositions have."""
        return not (
            self.composition_arn is not None
            or (self.composition_names and not self.names)
            or (self.composition_error_code and not self.error_code)
            or (self.composition_cause and not self.cause)
        )

    @property
    def can_match_compositions(self) -> bool:
        """Whether events of compositions can match: the filter asks for nothing that only participants have."""
        return not (
            self.session_id is not None
            or self.participant_id is not None
            or self.user_id is not None
            or (self.names and not self.composition_names)
            or (self.error_code and not self.composition_error_code)
            or (self.cause and not self.composition_cause)
        )

    def matches(self, logged: LogEntry) -> bool:
        """Return whether an event matches."""
        if isinstance(logged, LoggedCompositionEvent):
            return self.can_match_compositions and self._matches_place(logged) and self._matches_composition(logged)
        event = logged.event
        return (
            self._matches_place(logged)
            and self.composition_arn is None
            and (not (self.names or self.composition_names) or event.name in self.names)
            and (self.session_id is None or self.session_id == logged.session_id)
            and (self.participant_id is None or self.participant_id == logged.participant_id)
            and (self.user_id is None or self.user_id == logged.user_id)
            and _is_asked_for(event.error_code, self.error_code, other=self.composition_error_code)
            and (not self.any_error or event.error_code is not None)
            and _is_asked_for(event.cause, self.cause, other=self.composition_cause)
        )

    def _matches_composition(self, logged: LoggedCompositionEvent) -> bool:
        event = logged.event
        return (
            (self.composition_arn is None or self.composition_arn == logged.composition_arn)
            and (not self.composition_names or event.name in self.composition_names)
            and _is_asked_for(event.error_code, self.composition_error_code, other=self.error_code)
            and (not self.any_error or event.error_code is not None)
            and _is_asked_for(event.cause, self.composition_cause, other=self.cause)
        )

    def _matches_place(self, logged: LogEntry) -> bool:
        return (
            (self.account_id is None or self.account_id == logged.account_id)
            and (self.stage_arn is None or self.stage_arn == logged.stage_arn)
            and (self.since_ms is None or logged.time_ms >= self.since_ms)
            and (self.until_ms is None or logged.time_ms < self.until_ms)
        )


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a search: at most `limit` events that match, newest first unless `oldest_first`.

    `after` is the position of the page before: the sequence number of its last event.
    """

    where: EventFilter
    limit: int
    oldest_first: bool = False
    after: int | None = None


def chosen_events(*, names: Collection[str] = (), error: str | None = None, cause: str | None = None) -> dict[str, Any]:
    """Return the members of a filter that choose by these texts, each of participants, of compositions or of both.

    `error` may be ANY_ERROR. A text that neither has is left out, so the caller checks it: `EventLogName` ...
    """
    return {
        "names": frozenset(EventName(name) for name in names if name in _NAMES),
        "composition_names": frozenset(CompositionEventName(name) for name in names if name in _COMPOSITION_NAMES),
        "error_code": ErrorCode(error) if error in _ERRORS else None,
        "composition_error_code": CompositionErrorCode(error) if error in _COMPOSITION_ERRORS else None,
        "any_error": error == ANY_ERROR,
        "cause": Cause(cause) if cause in _CAUSES else None,
        "composition_cause": CompositionCause(cause) if cause in _COMPOSITION_CAUSES else None,
    }


def _is_asked_for(value: StrEnum | None, wanted: StrEnum | None, *, other: StrEnum | None) -> bool:
    """Return whether an event with this value matches. `other` is what is wanted of events of the other kind."""
    return value is wanted if wanted is not None else other is None


_NAMES: Final[frozenset[str]] = frozenset(EventName)
_COMPOSITION_NAMES: Final[frozenset[str]] = frozenset(CompositionEventName)
_ERRORS: Final[frozenset[str]] = frozenset(ErrorCode)
_COMPOSITION_ERRORS: Final[frozenset[str]] = frozenset(CompositionErrorCode)
_CAUSES: Final[frozenset[str]] = frozenset(Cause)
_COMPOSITION_CAUSES: Final[frozenset[str]] = frozenset(CompositionCause)
