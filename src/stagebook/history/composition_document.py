"""The JSON forms of compositions and their events, which are the same in live tail, webhooks and the watch API.

Times are ISO 8601 in UTC with milliseconds. Members that do not apply are left out. The sequence number is a string, as
in `event_document.py`. `layout` and the configurations of destinations are as GetComposition returns them.
"""

from typing import Any

import msgspec

from stagebook.book.composition_log import LogEntry, LoggedCompositionEvent
from stagebook.history.event_document import EventDocument, event_document
from stagebook.stage.composition.composition import Composition, CompositionDestination
from stagebook.stage.timestamps import iso8601


class CompositionEventDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One event of a composition. `reason` is AWS's text for the error code."""

    id: str
    sequence: str
    event_time: str
    name: str
    account_id: str
    stage_arn: str
    composition_arn: str
    destination_id: str | None = None
    error_code: str | None = None
    reason: str | None = None
    cause: str | None = None


class DestinationDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A destination of a composition."""

    id: str
    state: str
    configuration: dict[str, Any]
    start_time: str | None = None
    end_time: str | None = None
    recording_prefix: str | None = None


class CompositionDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A composition, whether it runs or ended long ago."""

    arn: str
    account_id: str
    stage_arn: str
    state: str
    start_time: str
    end_time: str | None = None
    tags: dict[str, str]
    layout: dict[str, Any]
    destinations: tuple[DestinationDocument, ...]


def composition_event_document(logged: LoggedCompositionEvent) -> CompositionEventDocument:
    """Return the document of an event of a composition."""
    event = logged.event
    return CompositionEventDocument(
        id=logged.event_id,
        sequence=str(logged.sequence),
        event_time=iso8601(logged.time_ms),
        name=event.name.value,
        account_id=logged.account_id,
        stage_arn=logged.stage_arn,
        composition_arn=logged.composition_arn,
        destination_id=event.destination_id,
        error_code=None if event.error_code is None else event.error_code.value,
        reason=event.reason,
        cause=None if event.cause is None else event.cause.value,
    )


def entry_document(logged: LogEntry) -> EventDocument | CompositionEventDocument:
    """Return the document of an event of either kind."""
    if isinstance(logged, LoggedCompositionEvent):
        return composition_event_document(logged)
    return event_document(logged)


def composition_document(composition: Composition) -> CompositionDocument:
    """Return the document of a composition."""
    return CompositionDocument(
        arn=composition.arn,
        account_id=composition.account_id,
        stage_arn=composition.stage_arn,
        state=composition.state.value,
        start_time=iso8601(composition.start_ms),
        end_time=_time(composition.end_ms),
        tags=composition.tags,
        layout=composition.layout,
        destinations=tuple(_destination(each) for each in composition.destinations),
    )


def _destination(destination: CompositionDestination) -> DestinationDocument:
    return DestinationDocument(
        id=destination.destination_id,
        state=destination.state.value,
        configuration=destination.configuration,
        start_time=_time(destination.start_ms),
        end_time=_time(destination.end_ms),
        recording_prefix=destination.recording_prefix,
    )


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else iso8601(time_ms)
