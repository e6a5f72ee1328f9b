"""Fuzz targets of imports: a line of an export, a file that the AWS CLI has printed, and a whole import."""

import io
from typing import Any

from stagebook.audit.book_rules import RULES, RuleBrokenError
from stagebook.audit.import_sources.aws_events import NamedSession
from stagebook.audit.import_sources.export_lines import SourceFaultError, read_export_line
from stagebook.audit.import_sources.import_files import ImportFiles
from stagebook.book.book_values import RecordedEvent
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.event_log import LoggedEvent
from stagebook.history.export.event_lines import json_lines
from tests.audit.histories import event
from tests.audit.importing import aws
from tests.book.sample import ACCOUNT, ARN, NOON_MS, SESSION
from tests.fuzz.fuzz_target import FuzzTarget

NAMED = NamedSession(stage_arn=ARN, session_id=SESSION)


def check_export_line(data: bytes) -> None:
    """A line is refused with a rule, or it is an event whose own line is read as the same event."""
    try:
        logged = read_export_line(data)
    except SourceFaultError as error:
        assert error.rule in RULES
        assert error.detail
        return
    (line,) = json_lines([logged]).splitlines()
    assert read_export_line(line) == logged


def check_import_file(data: bytes) -> None:
    """A file is refused with a rule and a place, or it has events in the order of their sequence numbers."""
    source: Any = io.BufferedReader(io.BytesIO(data))
    try:
        sequences = [logged.sequence for logged, _ in ImportFiles([("file", source)], NAMED).events(lambda *_: [])]
    except RuleBrokenError as error:
        assert error.violation.rule in {rule.name for rule in RULES}
        assert error.violation.source.startswith("file")
        return
    if not data.lstrip().startswith(b'{"id"'):
        assert sequences == sorted(set(sequences))


def _line(text: str) -> bytes:
    recorded = RecordedEvent(sequence=NOON_MS << SEQUENCE_TIME_SHIFT, participant_id="ann", event=event(text))
    return json_lines(
        [LoggedEvent(account_id=ACCOUNT, stage_arn=ARN, session_id=SESSION, user_id="a", recorded=recorded)]
    )


LINES = tuple(
    _line(text)
    for text in (
        "JOINED",
        "SUBSCRIBE_STARTED bob",
        "TOKEN_EXCHANGED PUBLISH",
        "REPLICATION_STARTED a",
        "JOIN_ERROR QUOTA_EXCEEDED",
    )
)

TARGETS = (
    FuzzTarget(name="export-line", check=check_export_line, max_size_bytes=16_384, seeds=LINES),
    FuzzTarget(
        name="import-file",
        check=check_import_file,
        max_size_bytes=16_384,
        seeds=(
            aws(("LEFT", "36:28"), ("JOINED", "30:34")),
            aws() + b'{"participant": {"participantId": "ann"}} {"stageSessions": []}',
            b"".join(LINES),
        ),
    ),
)
