"""Imports texts into books, for tests."""

import io
import json
from functools import partial
from pathlib import Path
from typing import Any

from stagebook.audit.book_import import BookImport
from stagebook.audit.book_rules import RuleBrokenError
from stagebook.audit.import_sources.aws_events import NamedSession
from stagebook.audit.import_sources.import_files import ImportFiles
from stagebook.audit.import_sources.import_source import ImportSummary
from stagebook.book.book_values import RecordedEvent
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.bulk.book_insertion import BookInsertion
from stagebook.history.event_query import EventFilter
from stagebook.history.export.event_lines import json_lines
from stagebook.history.export.export_pages import export_pages, export_range
from stagebook.history.history_files import HistoryFiles
from tests.book.sample import ARN, SESSION, read_secret

NAMED = NamedSession(stage_arn=ARN, session_id=SESSION)


def known_events(insertion: BookInsertion, session: NamedSession, participant_id: str) -> list[RecordedEvent]:
    """Return the events of a participant that a book has in a session."""
    stage = insertion.find_stage(session.stage_arn)
    stored = None if stage is None else insertion.find_session(stage.key, session.session_id)
    return [] if stored is None else insertion.participant_events(stored.key, participant_id)


def import_files(path: Path, *contents: bytes, session: NamedSession | None = None) -> ImportSummary:
    """Import files with these contents, named `file-1` and so on, into the book at `path`. Raises RuleBrokenError."""
    sources: list[Any] = [
        (f"file-{number}", io.BufferedReader(io.BytesIO(each))) for number, each in enumerate(contents, 1)
    ]
    files = ImportFiles(sources, session)
    with BookLock.take(path) as lock, BookInsertion(path, lock, read_secret=read_secret) as insertion:
        work = BookImport(insertion, details=files.details, places=files.places)
        work.run(files.events(partial(known_events, insertion), newest_sequence=insertion.last_sequence))
        insertion.commit()
    return work.summary


def refusal(path: Path, *contents: bytes, session: NamedSession | None = None) -> str:
    """Return the rule that an import breaks and its place, as `<rule> at <place>`."""
    try:
        import_files(path, *contents, session=session)
    except RuleBrokenError as error:
        return f"{error.violation.rule} at {error.violation.source}"
    return "imported"


def export(path: Path, where: EventFilter | None = None) -> bytes:
    """Return the export of a book."""
    where = where or EventFilter()
    with HistoryFiles(path) as files:
        return b"".join(json_lines(page.events) for page in export_pages(files.log, where, export_range(files, where)))


def aws(*events: tuple[str, str], participant_id: str = "ann", **members: Any) -> bytes:  # noqa: ANN401 - JSON
    """Return the output of list-participant-events: names and times within 2023-04-26T20:, in the order given."""
    listed = [
        {"name": name, "participantId": participant_id, "eventTime": f"2023-04-26T20:{time}+00:00", **members}
        for name, time in events
    ]
    return json.dumps({"events": listed}, indent=4).encode()
