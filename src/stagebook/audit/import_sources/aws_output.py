"""Reads what the AWS CLI and boto3 print: one JSON document, or several, one after another.

The members at the top say what a document is:

    events                                   list-participant-events
    participants, participant                list-participants, get-participant
    stageSessions, stageSession              list-stage-sessions, get-stage-session
    stages, stage                            list-stages, get-stage

Other members at the top (nextToken, ResponseMetadata) are skipped. Each item keeps its line, for error messages: the
document is decoded item by item, by Python's decoder, which says where a value ends.

Times are ISO 8601 with an offset, as the CLI prints them in each of its formats, or seconds since the epoch. They are
kept to the millisecond.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from stagebook.audit import book_rules
from stagebook.audit.import_sources.export_lines import SourceFaultError
from stagebook.audit.import_sources.import_source import parse_time_ms
from stagebook.stage.events import ErrorCode, EventName
from stagebook.stage.json_depth import is_too_deep
from stagebook.stage.resources import ParticipantProtocol, ParticipantState

MAXIMUM_DOCUMENTS_BYTES = 1 << 28
"""The size of a file, after decompression: it is read into memory. Two million events have this size."""

LISTS = {
    "events": "events",
    "participants": "participants",
    "participant": "participants",
    "stageSessions": "sessions",
    "stageSession": "sessions",
    "stages": "stages",
    "stage": "stages",
}
"""The members at the top of a document, and what they hold."""

_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_decoder = json.JSONDecoder()
_Kind = TypeVar("_Kind")


class AwsToken(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Shape ExchangedParticipantToken."""

    capabilities: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    user_id: str = ""
    expiration_time: str | int | float


class AwsEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Shape Event."""

    name: EventName
    participant_id: str
    event_time: str | int | float
    remote_participant_id: str | None = None
    error_code: ErrorCode | None = None
    destination_stage_arn: str | None = None
    destination_session_id: str | None = None
    replica: bool | None = None
    previous_token: AwsToken | None = None
    new_token: AwsToken | None = None


class AwsParticipant(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Shapes Participant and ParticipantSummary, without what the book does not keep."""

    participant_id: str
    user_id: str | None = None
    state: ParticipantState | None = None
    first_join_time: str | int | float | None = None
    attributes: dict[str, str] | None = None
    published: bool | None = None
    protocol: ParticipantProtocol | None = None
    isp_name: str | None = None
    os_name: str | None = None
    os_version: str | None = None
    browser_name: str | None = None
    browser_version: str | None = None
    sdk_version: str | None = None
    source_stage_arn: str | None = None
    source_session_id: str | None = None
    redundant_ingest: bool | None = None
    ingest_configuration_arn: str | None = None


class AwsSession(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Shapes StageSession and StageSessionSummary."""

    session_id: str
    start_time: str | int | float
    end_time: str | int | float | None = None


class AwsStage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Shapes Stage and StageSummary, without what the book does not keep."""

    arn: str
    name: str | None = None
    tags: dict[str, str] | None = None


class AwsItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item: what it is (a value of LISTS), its JSON value, and its line."""

    kind: str
    value: Any
    line: int


class _Reader:
    """A position in the text of a file, and its line."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self._counted = 0
        self._line = 1
        self._may_have_surrogates = _SURROGATE_ESCAPE.search(text) is not None

    @property
    def line(self) -> int:
        """The line of the position. Lines are counted once, so asking for each item is linear."""
        self._line += self.text.count("\n", self._counted, self.position)
        self._counted = self.position
        return self._line

    def skip_space(self) -> str:
        """Move to the next character that is no space; return it, or an empty text at the end."""
        match = _SPACE.match(self.text, self.position)
        self.position = self.position if match is None else match.end()
        return self.text[self.position : self.position + 1]

    def take(self, *expected: str) -> str:
        """Move behind the next character, which must be one of these."""
        found = self.skip_space()
        if found not in expected or not found:
            wanted = " or ".join(expected)
            raise SourceFaultError(book_rules.FORM, f"{wanted} expected, not {found or 'the end of the file'}")
        self.position += 1
        return found

    def value(self) -> Any:  # noqa: ANN401 - a JSON value
        """Return the JSON value at the position and move behind it."""
        self.skip_space()
        try:
            value, self.position = _decoder.raw_decode(self.text, self.position)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "a value is out of range")
            raise SourceFaultError(book_rules.FORM, f"not JSON: {reason}") from error
        if self._may_have_surrogates:
            _require_unicode(value)
        return value


def _require_unicode(value: object) -> None:
    """Raise SourceFaultError for a text with half of a surrogate pair, which UTF-8 cannot encode (RFC 8259, 8.2)."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise SourceFaultError(book_rules.FORM, "a text has half of a surrogate pair") from error


def read_documents(content: bytes) -> Iterator[AwsItem]:
    """Yield the items of the documents of a file, in their order. Raises SourceFaultError with its line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceFaultError(book_rules.FORM, "not UTF-8", line=1) from None
    if is_too_deep(text):
        raise SourceFaultError(book_rules.FORM, "a document is nested too deeply", line=1)
    reader = _Reader(text)
    try:
        while reader.skip_space():
            yield from _read_document(reader)
    except SourceFaultError as error:
        error.line = reader.line
        raise


def _read_document(reader: _Reader) -> Iterator[AwsItem]:
    reader.take("{")
    has_items = False
    separator = "" if reader.skip_space() != "}" else reader.take("}")
    while separator != "}":
        name = reader.value()
        if not isinstance(name, str):
            raise SourceFaultError(book_rules.FORM, "the name of a member expected")
        reader.take(":")
        if name in LISTS:
            has_items = True
            yield from _read_items(reader, LISTS[name])
        else:
            reader.value()
        separator = reader.take(",", "}")
    if not has_items:
        raise SourceFaultError(book_rules.FORM, f"a document has none of the members {', '.join(LISTS)}")


def _read_items(reader: _Reader, kind: str) -> Iterator[AwsItem]:
    if reader.skip_space() != "[":
        line = reader.line
        yield AwsItem(kind=kind, value=reader.value(), line=line)
        return
    reader.take("[")
    separator = "" if reader.skip_space() != "]" else reader.take("]")
    while separator != "]":
        reader.skip_space()
        line = reader.line
        yield AwsItem(kind=kind, value=reader.value(), line=line)
        separator = reader.take(",", "]")


def convert_item(value: object, kind: type[_Kind]) -> _Kind:
    """Return the value of an item as one of the shapes above. Raises SourceFaultError."""
    try:
        return msgspec.convert(value, type=kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise SourceFaultError(book_rules.FORM, str(error)) from error


def item_time_ms(value: str | float, member: str) -> int:
    """Return a time of an item in ms since the epoch. Raises SourceFaultError, which names the member."""
    try:
        return parse_time_ms(value)
    except ValueError as error:
        raise SourceFaultError(book_rules.FORM, f"{member} {error}") from error
