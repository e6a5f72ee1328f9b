"""The query parameters that choose events, which are the same in the search, the export and the live tail."""

from datetime import datetime
from typing import Annotated

import msgspec

from stagebook.history.event_query import (
    EVENT_LOG_NAMES,
    EventFilter,
    EventLogCause,
    EventLogError,
    EventLogName,
    chosen_events,
)
from stagebook.stage.arns import COMPOSITION, STAGE, Arn
from stagebook.stage.timestamps import epoch_ms

MAXIMUM_NAMES = len(EVENT_LOG_NAMES)
_MAXIMUM_TEXT_LENGTH = 2_048
"""Longer than every ARN and every id. A user id has at most 128 characters."""

_NAME = "Name of the event. May be given several times."
_ERROR = "An error code, or `any` for all events with an error code."
_CAUSE = "Cause of the event."


def time_parameter(description: str) -> msgspec.Meta:
    """Return the rule of a parameter of type `datetime`: a text with an offset, or a number of seconds."""
    return msgspec.Meta(
        tz=True,
        description=f"{description} ISO 8601 with an offset, or seconds since the epoch.",
    )


def text_parameter(description: str) -> msgspec.Meta:
    """Return the rule of a parameter that is an id or an ARN."""
    return msgspec.Meta(min_length=1, max_length=_MAXIMUM_TEXT_LENGTH, description=description)


class EventParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events of participants and of compositions.

    An event must match every parameter that is given; without one, every event of the account does.
    """

    stage: Annotated[str, text_parameter("ARN or id of the stage.")] | None = None
    session: Annotated[str, text_parameter("Id of the stage session.")] | None = None
    participant: Annotated[str, text_parameter("Id of the participant.")] | None = None
    user: Annotated[str, text_parameter("User id of the participant.")] | None = None
    composition: Annotated[str, text_parameter("ARN or id of the composition.")] | None = None
    name: Annotated[tuple[EventLogName, ...], msgspec.Meta(max_length=MAXIMUM_NAMES, description=_NAME)] = ()
    error: Annotated[EventLogError, msgspec.Meta(description=_ERROR)] | None = None
    cause: Annotated[EventLogCause, msgspec.Meta(description=_CAUSE)] | None = None
    since: Annotated[datetime, time_parameter("Time of the oldest event.")] | None = None


class PastEventParameters(EventParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events of the past, for requests whose result has an end."""

    until: Annotated[datetime, time_parameter("Time after the newest event.")] | None = None


def event_filter(parameters: EventParameters, *, account_id: str, region: str) -> EventFilter:
    """Return the filter that the parameters stand for, in one account. `region` is that of the server."""
    until = parameters.until if isinstance(parameters, PastEventParameters) else None
    return EventFilter(
        account_id=account_id,
        stage_arn=full_stage_arn(parameters.stage, account_id=account_id, region=region),
        session_id=parameters.session,
        participant_id=parameters.participant,
        user_id=parameters.user,
        composition_arn=full_composition_arn(parameters.composition, account_id=account_id, region=region),
        **chosen_events(names=parameters.name, error=parameters.error, cause=parameters.cause),
        since_ms=None if parameters.since is None else epoch_ms(parameters.since),
        until_ms=None if until is None else epoch_ms(until),
    )


def full_stage_arn(stage: str | None, *, account_id: str, region: str) -> str | None:
    """Return the ARN of a stage that is named by its ARN, or by its id in this account and region."""
    return _full_arn(stage, STAGE, account_id=account_id, region=region)


def full_composition_arn(composition: str | None, *, account_id: str, region: str) -> str | None:
    """Return the ARN of a composition, as `full_stage_arn` does."""
    return _full_arn(composition, COMPOSITION, account_id=account_id, region=region)


def _full_arn(text: str | None, resource_type: str, *, account_id: str, region: str) -> str | None:
    if text is None or ":" in text:
        return text
    return str(Arn(region=region, account_id=account_id, resource_type=resource_type, resource_id=text))
