"""Stagebook's own notes on operations, events and error codes: the TOML files in docs/reference.

They are what botocore's service model does not have. Each file begins with the meaning of its members.
"""

import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from contrib.site.repository_pages import ROOT

FOLDER = ROOT / "docs" / "reference"


class OperationNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The notes on one operation of the AWS API; docs/reference/operations.toml explains the members."""

    group: str
    summary: str
    notes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    quotas: tuple[str, ...] = ()
    rate: str = "calls_per_second"


class EventNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The notes on one participant event; docs/reference/events.toml explains the members."""

    members: tuple[str, ...]
    optional: tuple[str, ...]
    causes: tuple[str, ...]
    notes: tuple[str, ...]
    test: str
    codes: tuple[str, ...] = ()


class ErrorCodeNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The notes on one error code; docs/reference/error_codes.toml explains the members."""

    meaning: str
    whip: str
    rtmp: str
    running: bool
    action: str
    events: tuple[str, ...]
    test: str


Note = TypeVar("Note")


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))


def _notes(name: str, kind: type[Note]) -> Mapping[str, Note]:
    return msgspec.convert(_read(name), dict[str, kind])  # type: ignore[valid-type] # a type that is known at run time


def operation_notes() -> Mapping[str, OperationNote]:
    """Return the notes by the name of the operation. Raises msgspec.ValidationError for a wrong member."""
    return _notes("operations.toml", OperationNote)


def event_notes() -> Mapping[str, EventNote]:
    """Return the notes by the name of the event."""
    return _notes("events.toml", EventNote)


def error_code_notes() -> Mapping[str, ErrorCodeNote]:
    """Return the notes by error code."""
    return _notes("error_codes.toml", ErrorCodeNote)


def exception_texts() -> Mapping[str, str]:
    """Return what each error of the AWS API means, by its name."""
    return msgspec.convert(_read("exceptions.toml"), dict[str, str])


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An example of one operation; docs/reference/examples.toml explains the members."""

    operation: str
    input: dict[str, Any]
    save: dict[str, str] = {}
    refusal: str = ""
    after: str = ""


def examples() -> tuple[Example, ...]:
    """Return the examples of docs/reference/examples.toml in the order in which they are called."""
    return msgspec.convert(_read("examples.toml")["examples"], tuple[Example, ...])


class RecordedResponses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a server has answered to the examples. `values` are what the site shows in place of placeholders.

    The response to an example that is refused is the code of its error.
    """

    values: dict[str, str]
    responses: dict[str, Any]


def recorded_responses() -> RecordedResponses:
    """Return the responses of docs/reference/responses.json, which tests/e2e/site/recorded_responses.py makes."""
    return msgspec.json.decode((FOLDER / "responses.json").read_bytes(), type=RecordedResponses)
