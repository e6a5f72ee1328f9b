"""Reads a line of an export (JSON Lines of `stagebook events export` and of `GET /watch/v1/events/export`), and a line
of what `stagebook compositions list --output json` prints.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from stagebook.audit import book_rules
from stagebook.audit.book_rules import BookRule
from stagebook.audit.compositions.composition_lines import (
    CompositionFaultError,
    read_composition,
    read_composition_event,
)
from stagebook.audit.event_form import MAXIMUM_USER_ID_LENGTH, event_faults, id_faults, participant_id_fault
from stagebook.audit.import_sources.import_source import parse_time_ms
from stagebook.book.book_values import RecordedEvent
from stagebook.book.changes import sequence_time_ms
from stagebook.book.composition_log import LogEntry
from stagebook.book.event_log import LoggedEvent
from stagebook.history.composition_document import CompositionEventDocument
from stagebook.history.event_document import EventDocument, ExchangedTokenDocument, RecordingDocument
from stagebook.stage.composition.composition import Composition
from stagebook.stage.events import (
    Cause,
    ErrorCode,
    Event,
    EventName,
    ExchangedToken,
    RecordingDetails,
    RecordingErrorCode,
    ReplicationDestination,
    TokenExchange,
)
from stagebook.stage.json_depth import is_too_deep
from stagebook.stage.timestamps import iso8601

MAXIMUM_LINE_BYTES = 65_536
"""An event with two tokens has less than 10 KB."""

_SEQUENCE = re.compile(r"[0-9]{1,19}")
_END_OF_SEQUENCES = 1 << 63
_COMPOSITION_MARK = b'"compositionArn"'
_NAMES: dict[str | None, EventName] = {member.value: member for member in EventName}
_CODES: dict[str | None, ErrorCode | None] = {None: None} | {member.value: member for member in ErrorCode}
_RECORDING_CODES: dict[str | None, RecordingErrorCode | None] = {None: None} | {
    member.value: member for member in RecordingErrorCode
}
_CAUSES: dict[str | None, Cause | None] = {None: None} | {member.value: member for member in Cause}
_Member = TypeVar("_Member")


class EventLine(EventDocument, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A line: an event document without members that would be lost."""


class SourceFaultError(Exception):
    """A part of a source breaks a rule. `line` is its line, if the reader of that part knows it."""

    def __init__(self, rule: BookRule, detail: str, *, line: int = 0) -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
        self.line = line


class _LineKind(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The members by which an event of a composition is recognized."""

    composition_arn: str | None = None
    sequence: str = ""


_decode = msgspec.json.Decoder(EventLine).decode
_decode_kind = msgspec.json.Decoder(_LineKind).decode


def require_no_fault(faults: Iterable[tuple[BookRule, str]]) -> None:
    """Raise SourceFaultError for the first fault, a rule and what is wrong."""
    for rule, detail in faults:
        raise SourceFaultError(rule, detail)


def read_export_line(line: bytes) -> LogEntry:
    """Return the event of a line. Raises SourceFaultError for a line that breaks a rule by itself."""
    with _refusing_form(line, "an event"):
        if _COMPOSITION_MARK in line and (kind := _decode_kind(line)).composition_arn is not None:
            of_composition, entry = read_composition_event(line, _sequence(kind.sequence))
            _check_number(of_composition, entry)
            return entry
        document = _decode(line)
        logged = _logged(document)
        checked_event(logged)
        _check_number(document, logged)
        return logged


def read_composition_line(line: bytes) -> Composition:
    """Return the composition of a line. Raises SourceFaultError for a line that breaks a rule by itself."""
    with _refusing_form(line, "a composition"):
        return read_composition(line)


@contextmanager
def _refusing_form(line: bytes, what: str) -> Iterator[None]:
    """Turn what goes wrong while a line is read into a SourceFaultError."""
    if len(line) > MAXIMUM_LINE_BYTES:
        raise SourceFaultError(book_rules.FORM, f"the line has more than {MAXIMUM_LINE_BYTES:,} bytes")
    try:
        if is_too_deep(line):
            raise SourceFaultError(book_rules.FORM, "the line is nested too deeply")
        yield
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SourceFaultError(book_rules.FORM, f"not the document of {what}: {error}") from error
    except CompositionFaultError as error:
        raise SourceFaultError(error.rule, error.detail) from error


def checked_event(logged: LoggedEvent) -> LoggedEvent:
    """Return an event if it breaks no rule by itself. Raises SourceFaultError."""
    require_no_fault(id_faults(logged.stage_arn, logged.session_id, account_id=logged.account_id))
    if fault := participant_id_fault(logged.participant_id):
        raise SourceFaultError(book_rules.IDS, fault)
    if len(logged.user_id) > MAXIMUM_USER_ID_LENGTH:
        raise SourceFaultError(book_rules.IDS, f"the user id has more than {MAXIMUM_USER_ID_LENGTH} characters")
    require_no_fault(event_faults(logged.event))
    return logged


def _logged(document: EventLine) -> LoggedEvent:
    event = Event(
        name=_member(_NAMES, document.name, "the name of an event"),
        remote_participant_id=document.remote_participant_id,
        error_code=_member(_CODES, document.error_code, "an error code"),
        replica=document.replica,
        destination=_destination(document.destination_stage_arn, document.destination_session_id),
        exchange=_exchange(document.previous_token, document.new_token),
        cause=_member(_CAUSES, document.cause, "a cause"),
        detail=document.detail,
        recording=_recording(document.recording),
    )
    return LoggedEvent(
        account_id=document.account_id,
        stage_arn=document.stage_arn,
        session_id=document.session_id,
        user_id=document.user_id,
        recorded=RecordedEvent(
            sequence=_sequence(document.sequence), participant_id=document.participant_id, event=event
        ),
    )


def _sequence(text: str) -> int:
    if not _SEQUENCE.fullmatch(text) or not 0 < (sequence := int(text)) < _END_OF_SEQUENCES:
        raise SourceFaultError(book_rules.FORM, f"{text[:32]!r} is not a sequence number")
    return sequence


def _check_number(document: EventDocument | CompositionEventDocument, logged: LogEntry) -> None:
    if document.event_time != iso8601(sequence_time_ms(logged.sequence)):
        raise SourceFaultError(
            book_rules.EVENT_TIME, f"{document.event_time[:64]!r} is not the time of sequence number {logged.sequence}"
        )
    if document.id != logged.event_id:
        raise SourceFaultError(book_rules.EVENT_ID, f"the id must be {logged.event_id}")


def _member(members: Mapping[str | None, _Member], value: str | None, what: str) -> _Member:
    try:
        return members[value]
    except KeyError:
        raise SourceFaultError(book_rules.FORM, f"{str(value)[:64]!r} is not {what}") from None


def _destination(stage_arn: str | None, session_id: str | None) -> ReplicationDestination | None:
    if (stage_arn is None) != (session_id is None):
        raise SourceFaultError(book_rules.DESTINATION, "a destination is a stage and a session")
    if stage_arn is None or session_id is None:
        return None
    return ReplicationDestination(stage_arn=stage_arn, session_id=session_id)


def _exchange(previous: ExchangedTokenDocument | None, new: ExchangedTokenDocument | None) -> TokenExchange | None:
    if (previous is None) != (new is None):
        raise SourceFaultError(book_rules.TOKENS, "an exchange has the previous and the new token")
    if previous is None or new is None:
        return None
    return TokenExchange(previous=_token(previous), new=_token(new))


def _recording(document: RecordingDocument | None) -> RecordingDetails | None:
    if document is None:
        return None
    recording = RecordingDetails(
        bucket_name=document.s3_bucket_name,
        prefix=document.s3_prefix,
        duration_ms=document.duration_ms,
        error_code=_member(_RECORDING_CODES, document.error_code, "an error code of a recording"),
    )
    if document.reason != recording.reason:
        raise SourceFaultError(book_rules.RECORDING_DETAILS, "the reason is not that of the error code")
    return recording


def _token(document: ExchangedTokenDocument) -> ExchangedToken:
    try:
        expiration_ms = parse_time_ms(document.expiration_time)
    except ValueError as error:
        raise SourceFaultError(book_rules.FORM, f"expirationTime {error}") from error
    return ExchangedToken(
        capabilities=document.capabilities,
        attributes=document.attributes,
        user_id=document.user_id,
        expiration_ms=expiration_ms,
    )
