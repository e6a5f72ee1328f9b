"""Reads the files of an import: each is an export, a list of compositions or the output of the AWS CLI, which its first
line tells; it may be compressed with gzip.

An export is read line by line. A list of compositions is read as a whole, because their events need it, and so is the
output of the CLI, because it lists the newest event first.
"""

import gzip
import heapq
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import msgspec

from stagebook.audit import book_rules
from stagebook.audit.book_rules import RuleBrokenError
from stagebook.audit.import_sources.aws_events import AwsEvents, NamedSession
from stagebook.audit.import_sources.aws_output import MAXIMUM_DOCUMENTS_BYTES, read_documents
from stagebook.audit.import_sources.export_lines import (
    MAXIMUM_LINE_BYTES,
    SourceFaultError,
    read_composition_line,
    read_export_line,
)
from stagebook.audit.import_sources.import_source import Places, SourcedEvent
from stagebook.audit.import_sources.source_details import SourceDetails
from stagebook.book.book_values import RecordedEvent

SourceFile: TypeAlias = tuple[str, io.BufferedReader]
"""The name of a file, for messages, and the open file."""
Source: TypeAlias = io.BufferedReader | gzip.GzipFile
FindKnown: TypeAlias = Callable[[NamedSession, str], list[RecordedEvent]]
"""Returns the events of a participant that the book has in a session already."""

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MOST_BLANK_LINES = 1_000
"""At the beginning of a file."""


class ImportFiles:
    """The events of all files, and their details, which are complete once the files are open."""

    def __init__(self, files: Sequence[SourceFile], session: NamedSession | None) -> None:
        """Detect the form of each file and read the output of the CLI. Raises RuleBrokenError."""
        self.places = Places()
        self.details = SourceDetails()
        self._session = session
        self._exports: list[tuple[int, int, bytes, Source]] = []
        first = self.places.add_file("--stage-arn, --session-id")
        try:
            self._aws = AwsEvents(session, self.details)
        except SourceFaultError as error:
            raise self._refusal(error, first) from error
        for name, file in files:
            self._open(name, file)

    def events(self, known: FindKnown, *, newest_sequence: int = 0) -> Iterator[SourcedEvent]:
        """Yield the events in the order of their sequence numbers. Raises RuleBrokenError.

        `newest_sequence` is that of the book.
        """
        session = self._session
        sources = [self._export_events(*each) for each in self._exports]
        if session is not None and self._aws.has_events:
            sources.append(
                self._aws.in_order(
                    lambda participant_id: known(session, participant_id), newest_sequence=newest_sequence
                )
            )
        if len(sources) == 1:
            return sources[0]
        return heapq.merge(*sources, key=lambda sourced: sourced[0].sequence)

    def _open(self, name: str, file: io.BufferedReader) -> None:
        place = self.places.add_file(name)
        with self._refusing(place):
            source: Source = gzip.GzipFile(fileobj=file) if file.peek(2).startswith(_GZIP_MAGIC) else file
            number, first = 1, source.readline(MAXIMUM_LINE_BYTES + 1).removeprefix(_BYTE_ORDER_MARK)
            while first.isspace() and number <= _MOST_BLANK_LINES:
                number, first = number + 1, source.readline(MAXIMUM_LINE_BYTES + 1)
            if _is_export_line(first):
                self._exports.append((place, number, first, source))
                return
            content = b"\n" * (number - 1) + first + source.read(MAXIMUM_DOCUMENTS_BYTES + 1)
            if len(content) > MAXIMUM_DOCUMENTS_BYTES:
                raise SourceFaultError(book_rules.FORM, f"the file has more than {MAXIMUM_DOCUMENTS_BYTES:,} bytes")
            if _is_composition_line(first):
                self._read_compositions(content)
            else:
                self._read_documents(content, place)

    def _read_compositions(self, content: bytes) -> None:
        for number, line in enumerate(content.splitlines(), 1):
            if not line.isspace() and line:
                try:
                    composition = read_composition_line(line)
                except SourceFaultError as error:
                    error.line = number
                    raise
                self.details.compositions[composition.arn] = composition

    def _read_documents(self, content: bytes, place: int) -> None:
        for item in read_documents(content):
            try:
                self._aws.add(item, place + item.line)
            except SourceFaultError as error:
                error.line = item.line
                raise

    def _export_events(self, place: int, number: int, first: bytes, file: Source) -> Iterator[SourcedEvent]:
        """Yield the events of an export whose first line that is not blank has been read; `number` is its number."""
        line = first
        while line:
            if not line.isspace():
                try:
                    yield read_export_line(line), place + number
                except SourceFaultError as error:
                    raise self._refusal(error, place + number) from error
            with self._refusing(place + number + 1):
                line = file.readline(MAXIMUM_LINE_BYTES + 1)
            number += 1

    @contextmanager
    def _refusing(self, place: int) -> Iterator[None]:
        """Turn what goes wrong while a file is read into a refusal that names the file."""
        try:
            yield
        except SourceFaultError as error:
            raise self._refusal(error, place + error.line) from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self.places.refusal(book_rules.FORM, f"not a complete gzip file: {error}", place) from error

    def _refusal(self, error: SourceFaultError, place: int) -> RuleBrokenError:
        return self.places.refusal(error.rule, error.detail, place)


def _is_composition_line(line: bytes) -> bool:
    """Return whether the first line of a file is one of `stagebook compositions list --output json`."""
    try:
        value: Any = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(value, dict) and {"arn", "destinations", "layout"} <= value.keys()


def _is_export_line(line: bytes) -> bool:
    """Return whether the first line of a file is one of an export: a whole object with a sequence number.

    A line that is no JSON is one too if no document of the CLI begins with it, so that its own fault is named.
    """
    try:
        value: Any = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b'"sequence"' in line
    return isinstance(value, dict) and "sequence" in value
