"""The query parameters and the responses of the routes of sessions."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from stagebook.api.watch.event_parameters import full_stage_arn, text_parameter, time_parameter
from stagebook.api.watch.list_cursor import CursorParameter
from stagebook.book.tables.session_history import SessionFilter
from stagebook.history.sessions.session_document import (
    ParticipantReportDocument,
    SessionDocument,
    SessionTotalsDocument,
)
from stagebook.stage.timestamps import epoch_ms

MAXIMUM_SESSIONS = 1_000
MAXIMUM_PARTICIPANTS = 1_000


class SessionState(StrEnum):
    """Whether a session goes on."""

    OPEN = "open"
    ENDED = "ended"


class SessionParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sessions. A session must match every parameter that is given. `since` and `until` bound its start."""

    stage: Annotated[str, text_parameter("ARN or id of the stage.")] | None = None
    state: SessionState | None = None
    user: Annotated[str, text_parameter("User id of a participant of the session.")] | None = None
    since: Annotated[datetime, time_parameter("Time of the first start.")] | None = None
    until: Annotated[datetime, time_parameter("Time after the last start.")] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAXIMUM_SESSIONS, description="Sessions of a page.")] = 100
    cursor: CursorParameter | None = None


class SessionReportParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which participants of a session, and whether the totals are computed, which takes time in a large session."""

    participant: Annotated[str, text_parameter("Id of the participant.")] | None = None
    user: Annotated[str, text_parameter("User id of the participants.")] | None = None
    totals: Annotated[bool, msgspec.Meta(description="Whether the first page has the totals.")] = True
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAXIMUM_PARTICIPANTS, description="Participants of a page.")] = 100
    cursor: CursorParameter | None = None


class SessionList(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of sessions, the newest first. It may have fewer than asked for, or none, and still a next page."""

    sessions: list[SessionDocument]
    next_cursor: str | None = None


class SessionReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A session and a page of its participants, in the order of their arrival.

    Open intervals count up to `as_of_time`. The totals are those of the whole session; they are null on later pages,
    without `totals`, and in a session that has too many events for a request.
    """

    session: SessionDocument
    as_of_time: str
    totals: SessionTotalsDocument | None
    participants: list[ParticipantReportDocument]
    next_cursor: str | None = None


class EncodedSessionReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A SessionReport whose participants are JSON already."""

    session: SessionDocument
    as_of_time: str
    totals: SessionTotalsDocument | None
    participants: msgspec.Raw
    next_cursor: str | None = None


def session_filter(parameters: SessionParameters, *, account_id: str, region: str) -> SessionFilter:
    """Return the filter that the parameters stand for, in one account. `region` is that of the server."""
    return SessionFilter(
        account_id=account_id,
        stage_arn=full_stage_arn(parameters.stage, account_id=account_id, region=region),
        is_open=None if parameters.state is None else parameters.state is SessionState.OPEN,
        since_ms=None if parameters.since is None else epoch_ms(parameters.since),
        until_ms=None if parameters.until is None else epoch_ms(parameters.until),
        user_id=parameters.user,
    )
