"""Reads the lines about compositions: events of an export, and what `stagebook compositions list` prints as JSON."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from stagebook.audit import book_rules
from stagebook.audit.book_rules import BookRule
from stagebook.audit.compositions.composition_audit import MAXIMUM_DESTINATIONS
from stagebook.audit.import_sources.import_source import parse_time_ms
from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.history.composition_document import CompositionDocument, CompositionEventDocument, DestinationDocument
from stagebook.stage.arns import COMPOSITION, STAGE, parse_arn
from stagebook.stage.composition.composition import (
    Composition,
    CompositionDestination,
    CompositionState,
    DestinationState,
)
from stagebook.stage.composition.composition_events import (
    CompositionCause,
    CompositionErrorCode,
    CompositionEvent,
    CompositionEventName,
)
from stagebook.stage.errors import MalformedArnError

_DESTINATION_ID = re.compile(r"[a-zA-Z0-9]{1,64}")


class CompositionEventLine(
    CompositionEventDocument, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """A line of an export: the document of an event without members that would be lost."""


class DestinationLine(DestinationDocument, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A destination without members that would be lost."""


class CompositionLine(CompositionDocument, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A line of a list: the document of a composition without members that would be lost."""

    destinations: tuple[DestinationLine, ...]


_decode_event = msgspec.json.Decoder(CompositionEventLine).decode
_decode_composition = msgspec.json.Decoder(CompositionLine).decode


class CompositionFaultError(Exception):
    """A line breaks a rule."""

    def __init__(self, rule: BookRule, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail


def read_composition_event(line: bytes, sequence: int) -> tuple[CompositionEventDocument, LoggedCompositionEvent]:
    """Return the document and the event of a line. Raises CompositionFaultError, msgspec.MsgspecError.

    `sequence` is the sequence number, which the caller has read already.
    """
    document = _decode_event(line)
    try:
        event = CompositionEvent(
            name=CompositionEventName(document.name),
            destination_id=document.destination_id,
            error_code=None if document.error_code is None else CompositionErrorCode(document.error_code),
            cause=None if document.cause is None else CompositionCause(document.cause),
        )
    except ValueError as error:
        raise CompositionFaultError(book_rules.FORM, str(error)) from error
    _require(_id_faults(document.composition_arn, document.stage_arn, document.account_id))
    if event.destination_id is not None:
        _require(_destination_faults(event.destination_id))
    if document.reason != event.reason:
        raise CompositionFaultError(book_rules.COMPOSITION, "the reason is not that of the error code")
    return document, LoggedCompositionEvent(
        account_id=document.account_id,
        stage_arn=document.stage_arn,
        composition_arn=document.composition_arn,
        sequence=sequence,
        event=event,
    )


def read_composition(line: bytes) -> Composition:
    """Return the composition of a line. Raises CompositionFaultError, msgspec.MsgspecError."""
    document = _decode_composition(line)
    _require(_id_faults(document.arn, document.stage_arn, document.account_id))
    if not 1 <= len(document.destinations) <= MAXIMUM_DESTINATIONS:
        raise CompositionFaultError(
            book_rules.COMPOSITION, f"a composition has 1 to {MAXIMUM_DESTINATIONS} destinations"
        )
    if not all(isinstance(members, dict) for members in document.layout.values()):
        raise CompositionFaultError(book_rules.FORM, "a layout is an object of objects")
    try:
        return Composition(
            arn=document.arn,
            account_id=document.account_id,
            stage_arn=document.stage_arn,
            start_ms=parse_time_ms(document.start_time),
            end_ms=_time_ms(document.end_time),
            state=CompositionState(document.state),
            tags=document.tags,
            layout=document.layout,
            destinations=tuple(_destination(each) for each in document.destinations),
        )
    except ValueError as error:
        raise CompositionFaultError(book_rules.FORM, str(error)) from error


def _destination(document: DestinationDocument) -> CompositionDestination:
    _require(_destination_faults(document.id))
    if not _has_form(document.configuration):
        raise CompositionFaultError(book_rules.FORM, f"the configuration of destination {document.id} has another form")
    return CompositionDestination(
        destination_id=document.id,
        configuration=document.configuration,
        recording_prefix=document.recording_prefix,
        state=DestinationState(document.state),
        start_ms=_time_ms(document.start_time),
        end_ms=_time_ms(document.end_time),
    )


def _has_form(configuration: dict[str, Any]) -> bool:
    """Return whether the members that the server reads have the types of shape DestinationConfiguration."""
    channel, s3 = configuration.get("channel", {}), configuration.get("s3", {})
    if not isinstance(channel, dict) or not isinstance(s3, dict):
        return False
    if "channel" in configuration and not isinstance(channel.get("channelArn"), str):
        return False
    encoders = s3.get("encoderConfigurationArns", [])
    texts = [channel.get("encoderConfigurationArn", ""), s3.get("storageConfigurationArn", "")]
    return isinstance(encoders, list) and all(isinstance(each, str) for each in (*texts, *encoders))


def _id_faults(arn: str, stage_arn: str, account_id: str) -> Iterator[tuple[BookRule, str]]:
    for text, resource_type in ((stage_arn, STAGE), (arn, COMPOSITION)):
        try:
            parsed = parse_arn(text)
        except MalformedArnError:
            yield book_rules.IDS, f"{text[:128]!r} is not the ARN of a {resource_type}"
        else:
            if parsed.resource_type != resource_type:
                yield book_rules.IDS, f"{text} is not the ARN of a {resource_type}"
            elif parsed.account_id != account_id:
                yield book_rules.IDS, f"account {account_id[:32]!r} is not that of {text}"


def _destination_faults(destination_id: str) -> Iterator[tuple[BookRule, str]]:
    if not _DESTINATION_ID.fullmatch(destination_id):
        yield book_rules.IDS, f"{destination_id[:64]!r} is not the id of a destination: 1 to 64 letters and digits"


def _time_ms(text: str | None) -> int | None:
    return None if text is None else parse_time_ms(text)


def _require(faults: Iterator[tuple[BookRule, str]]) -> None:
    for rule, detail in faults:
        raise CompositionFaultError(rule, detail)
