"""What `stagebook events import` does: it imports files into the book of a data folder that no server uses."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.progress import Progress, TextColumn

from stagebook.audit.book_import import BookImport
from stagebook.audit.book_rules import RULES, RuleBrokenError
from stagebook.audit.import_sources.aws_events import NamedSession
from stagebook.audit.import_sources.import_files import ImportFiles, SourceFile
from stagebook.audit.import_sources.import_source import ImportSummary
from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.book_values import RecordedEvent
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.bulk.book_insertion import BookInsertion
from stagebook.cli.exit_codes import EXIT_OK, CommandFailedError
from stagebook.cli.setting_flags import read_settings
from stagebook.cli.terminal.terminal_text import counted, open_console, printable
from stagebook.data_folder.secrets import DataFolder
from stagebook.data_folder.testing_mark import claim_folder
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.stage.timestamps import iso8601

STANDARD_INPUT = "-"
_FUTURE_MS = 60_000
"""An event that is later than this from now on is one of the future, and not of a clock that is slightly wrong."""


def import_events(arguments: argparse.Namespace) -> int:
    """Import events; return the exit code. Raises CommandFailedError."""
    if arguments.session_id is not None and arguments.stage_arn is None:
        raise CommandFailedError("--session-id needs --stage-arn, the stage of the session")
    session = None
    if arguments.stage_arn is not None:
        session = NamedSession(stage_arn=arguments.stage_arn, session_id=arguments.session_id or "")
    settings = read_settings(arguments)
    if settings.book == "postgres":
        raise CommandFailedError(
            "events are imported into the book of a data folder: leave book and database_url out of the settings,"
            " import with --data NEW-FOLDER, then move the book: `stagebook book copy --from NEW-FOLDER --to"
            " postgresql://...`"
        )
    folder = DataFolder(Path(settings.data))
    try:
        summary = _import_into(folder, arguments, session)
    except RuleBrokenError as error:
        rule = next(rule for rule in RULES if rule.name == error.violation.rule)
        text = f"nothing was imported: {printable(str(error))}\n  {rule.name}: {rule.text} ({rule.source})"
        raise CommandFailedError(text) from error
    except (BookRefusedError, BookFailedError) as error:
        raise CommandFailedError(str(error)) from error
    console = open_console(stderr=True)
    console.print(_text(summary, is_dry=arguments.dry_run))
    for warning in _warnings(summary, folder):
        console.print(f"warning: {warning}")
    return EXIT_OK


def _import_into(folder: DataFolder, arguments: argparse.Namespace, session: NamedSession | None) -> ImportSummary:
    """Import the files into the book of a data folder. With --dry-run nothing is written."""
    with ExitStack() as stack:
        files = ImportFiles([_open(name, stack) for name in arguments.files], session)
        folder.prepare()
        lock = stack.enter_context(BookLock.take(folder.book_path))
        if arguments.testing and not arguments.dry_run:
            claim_folder(folder, is_testing=True)
        read_secret = partial(folder.stream_key_secret, randomness=SystemRandomness())
        insertion = stack.enter_context(BookInsertion(folder.book_path, lock, read_secret=read_secret))
        summary = _run(insertion, files)
        if not arguments.dry_run:
            insertion.commit()
        return summary


def _warnings(summary: ImportSummary, folder: DataFolder) -> Iterator[str]:
    """Yield what a server on the book will do that may surprise."""
    account_id = folder.account_id()
    others = sorted(summary.account_ids - {account_id})
    if account_id is not None and others:
        yield f"stages of account {', '.join(others)} were imported; the access key is of account {account_id}"
    if summary.newest_ms > SystemClock().now_ms() + _FUTURE_MS:
        yield f"the newest time is {iso8601(summary.newest_ms)}: from now on no event gets an earlier one"
    if summary.events and folder.webhook_path.exists():
        yield "the data folder has webhooks: the next server delivers the imported events"


def _run(insertion: BookInsertion, files: ImportFiles) -> ImportSummary:
    """Import everything. A terminal shows the progress."""
    work = BookImport(insertion, details=files.details, places=files.places)
    console = open_console(stderr=True)
    columns = TextColumn("{task.fields[count]} events")
    with Progress(columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("import", count="0")
        work.run(
            files.events(partial(_known_events, insertion), newest_sequence=insertion.last_sequence),
            advance=lambda count: progress.update(task, count=f"{count:,}"),
        )
    return work.summary


def _known_events(insertion: BookInsertion, session: NamedSession, participant_id: str) -> list[RecordedEvent]:
    """Return the events of a participant that the book has in a session already."""
    stage = insertion.find_stage(session.stage_arn)
    stored = None if stage is None else insertion.find_session(stage.key, session.session_id)
    return [] if stored is None else insertion.participant_events(stored.key, participant_id)


def _open(name: str, stack: ExitStack) -> SourceFile:
    if name == STANDARD_INPUT:
        return "standard input", sys.stdin.buffer  # type: ignore[return-value]  # it is a BufferedReader
    try:
        return name, stack.enter_context(Path(name).open("rb"))
    except OSError as error:
        raise CommandFailedError(f"{name} cannot be read: {error.strerror}") from error


def _text(summary: ImportSummary, *, is_dry: bool) -> str:
    events, participants = counted(summary.events, "event"), counted(summary.participants, "participant")
    what = f"{events} of {participants} in {counted(summary.sessions, 'session')}"
    if summary.compositions:
        what += f" and {counted(summary.compositions, 'composition')}"
    text = f"{'would import' if is_dry else 'imported'} {what}"
    if summary.known_events:
        text += f"; {summary.known_events:,} more are in the book already"
    return text
