"""The filters of events, which are the same in search, live tail, webhooks and export."""

from typing import Final

import msgspec

from stagebook.book.event_log import LoggedEvent
from stagebook.stage.events import Cause, ErrorCode, EventName

ANY_ERROR: Final = "any"
"""What users give instead of an error code for all events with one."""


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events match: those that match every member that is given. None, or an empty set, matches every event.

    `names` matches each of the names. `any_error` matches events with any error code. `since_ms` is inclusive and
    `until_ms` exclusive, both in milliseconds since the epoch.
    """

    account_id: str | None = None
    stage_arn: str | None = None
    session_id: str | None = None
    participant_id: str | None = None
    user_id: str | None = None
    names: frozenset[EventName] = frozenset()
    error_code: ErrorCode | None = None
    any_error: bool = False
    cause: Cause | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def matches(self, logged: LoggedEvent) -> bool:
        """Return whether an event matches."""
        event = logged.event
        return (
            (self.account_id is None or self.account_id == logged.account_id)
            and (not self.names or event.name in self.names)
            and (self.stage_arn is None or self.stage_arn == logged.stage_arn)
            and (self.session_id is None or self.session_id == logged.session_id)
            and (self.participant_id is None or self.participant_id == logged.participant_id)
            and (self.user_id is None or self.user_id == logged.user_id)
            and (self.error_code is None or self.error_code is event.error_code)
            and (not self.any_error or event.error_code is not None)
            and (self.cause is None or self.cause is event.cause)
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
