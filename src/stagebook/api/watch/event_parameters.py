"""The query parameters that choose events, which are the same in the search and in the live tail."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias

import msgspec

from stagebook.history.event_query import EventFilter
from stagebook.stage.arns import STAGE, Arn
from stagebook.stage.events import Cause, ErrorCode, EventName

ANY_ERROR = "any"
MAXIMUM_NAMES = len(EventName)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAXIMUM_TEXT_LENGTH = 2_048
"""Longer than every ARN and every id. A user id has at most 128 characters."""

ErrorParameter: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        # `$` alone would also match before a line break at the end.
        pattern=f"^({'|'.join([ANY_ERROR, *ErrorCode])})$(?!\n)",
        description="An error code, or `any` for all events with an error code.",
    ),
]


def time_parameter(description: str) -> msgspec.Meta:
    """Return the rule of a parameter of type `datetime`: a text with an offset, or a number of seconds."""
    return msgspec.Meta(
        tz=True,
        description=f"{description} ISO 8601 with an offset, or seconds since the epoch.",
    )


def _text(description: str) -> msgspec.Meta:
    return msgspec.Meta(min_length=1, max_length=_MAXIMUM_TEXT_LENGTH, description=description)


class EventParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events. An event must match every parameter that is given; without one, every event of the account does."""

    stage: Annotated[str, _text("ARN or id of the stage.")] | None = None
    session: Annotated[str, _text("Id of the stage session.")] | None = None
    participant: Annotated[str, _text("Id of the participant.")] | None = None
    user: Annotated[str, _text("User id of the participant.")] | None = None
    name: Annotated[
        tuple[EventName, ...],
        msgspec.Meta(max_length=MAXIMUM_NAMES, description="Name of the event. May be given several times."),
    ] = ()
    error: ErrorParameter | None = None
    cause: Annotated[Cause, msgspec.Meta(description="Cause of the event.")] | None = None
    since: Annotated[datetime, time_parameter("Time of the oldest event.")] | None = None


def event_filter(parameters: EventParameters, *, account_id: str, region: str) -> EventFilter:
    """Return the filter that the parameters stand for, in one account. `region` is that of the server."""
    return EventFilter(
        account_id=account_id,
        stage_arn=full_stage_arn(parameters.stage, account_id=account_id, region=region),
        session_id=parameters.session,
        participant_id=parameters.participant,
        user_id=parameters.user,
        names=frozenset(parameters.name),
        error_code=None if parameters.error in {None, ANY_ERROR} else ErrorCode(parameters.error),
        any_error=parameters.error == ANY_ERROR,
        cause=parameters.cause,
        since_ms=None if parameters.since is None else milliseconds(parameters.since),
    )


def full_stage_arn(stage: str | None, *, account_id: str, region: str) -> str | None:
    if stage is None or ":" in stage:
        return stage
    return str(Arn(region=region, account_id=account_id, resource_type=STAGE, resource_id=stage))


def milliseconds(time: datetime) -> int:
    """Return a time in milliseconds since the epoch, rounded down."""
    return (time - _EPOCH) // timedelta(milliseconds=1)
