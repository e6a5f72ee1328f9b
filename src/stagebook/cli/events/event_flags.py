"""The flags of the commands that read the book: where it is, which events, and the form of the output.

The book is in the data folder, or in the database that the settings name.
"""

import argparse
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from stagebook.api.watch.event_parameters import full_composition_arn, full_stage_arn
from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.book_source import BookSource, DatabaseSource
from stagebook.cli.exit_codes import CommandFailedError
from stagebook.cli.setting_flags import add_flag, read_settings
from stagebook.config.settings import SETTINGS, Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.history.event_query import (
    ANY_ERROR,
    EVENT_LOG_CAUSES,
    EVENT_LOG_ERRORS,
    EVENT_LOG_NAMES,
    EventFilter,
    chosen_events,
)
from stagebook.history.history_files import HistoryFiles
from stagebook.stage.timestamps import epoch_ms

CACHE_SIZE_KIB = 8_192
"""A command reads most pages once, so a larger cache would only take memory."""

STATEMENT_SECONDS = 60.0
"""How long a statement in a database may take. Commands read in small steps, and nobody waits behind them."""

_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

Moment: TypeAlias = Callable[[int], int]
"""A time, given the present one, both in milliseconds since the epoch."""


def add_book_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which book is read."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the TOML file the server was started with")
    add_flag(parser, SETTINGS["data"])


@contextmanager
def open_history(arguments: argparse.Namespace) -> Iterator[HistoryFiles]:
    """Open the book of the settings for reading, also while servers are running.

    Raises CommandFailedError if there is none or it cannot be read, also for failures inside the context.
    """
    source = book_source(read_settings(arguments))
    try:
        with HistoryFiles(source, cache_size_kib=CACHE_SIZE_KIB, statement_seconds=STATEMENT_SECONDS) as files:
            yield files
    except (BookRefusedError, BookFailedError) as error:
        raise CommandFailedError(str(error)) from error


def book_source(settings: Settings) -> BookSource:
    """Return where the book of the settings is. Raises CommandFailedError if there is none, or without its driver."""
    if settings.database_url is not None:
        require_psycopg()
        return DatabaseSource(url=settings.database_url)
    path = DataFolder(Path(settings.data)).book_path
    if not path.exists():
        raise CommandFailedError(f"there is no book at {path}: name the data folder of the server with --data")
    return path


def require_psycopg() -> None:
    """Raise CommandFailedError without the driver of PostgreSQL, which is an optional extra."""
    try:
        import psycopg  # noqa: F401 - an optional extra
    except ModuleNotFoundError:
        raise CommandFailedError("PostgreSQL needs psycopg: run `pip install 'stagebook[postgres]'`") from None


def add_time_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--since` and `--until`."""
    for flag, help_text in (("--since", "not before this time"), ("--until", "before this time")):
        text = f"{help_text}: 2h, 30m, 7d (ago), 2026-01-31, or 2026-01-31T12:00:00Z; UTC without a zone"
        parser.add_argument(flag, type=parse_moment, metavar="TIME", help=text)


def add_filter_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the filters of events, of participants and of compositions."""
    parser.add_argument("--composition", metavar="ARN", help="events of the composition with this ARN or id")
    parser.add_argument("--stage", metavar="ARN", help="events of the stage with this ARN or id")
    parser.add_argument("--session", metavar="ID", help="events of this session")
    parser.add_argument("--participant", metavar="ID", help="events of this participant")
    parser.add_argument("--user", metavar="ID", help="events of the participants with this user id")
    parser.add_argument(
        "--name",
        type=_one_of(EVENT_LOG_NAMES),
        action="append",
        metavar="NAME",
        help="events of this name; repeatable",
    )
    parser.add_argument(
        "--error",
        type=_one_of(EVENT_LOG_ERRORS),
        metavar="CODE",
        help=f"events with this error code, or `{ANY_ERROR}` of them",
    )
    parser.add_argument("--cause", type=_one_of(EVENT_LOG_CAUSES), metavar="CAUSE", help="events with this cause")
    add_time_flags(parser)


def event_filter(arguments: argparse.Namespace, *, now_ms: int) -> EventFilter:
    """Return the filter of a command with the flags of `add_filter_flags`."""
    return EventFilter(
        stage_arn=stage_arn(arguments),
        session_id=arguments.session,
        participant_id=arguments.participant,
        user_id=arguments.user,
        composition_arn=composition_arn(arguments),
        **chosen_events(names=arguments.name or (), error=arguments.error, cause=arguments.cause),
        since_ms=None if arguments.since is None else arguments.since(now_ms),
        until_ms=None if arguments.until is None else arguments.until(now_ms),
    )


def stage_arn(arguments: argparse.Namespace) -> str | None:
    """Return the ARN that `--stage` names. An id is that of a stage of the server that last ran on the data folder.

    Raises DataFolderError for an id in a folder on which no server has run.
    """
    return _full_arn(arguments, arguments.stage, full_stage_arn)


def composition_arn(arguments: argparse.Namespace) -> str | None:
    """Return the ARN that `--composition` names, as `stage_arn` does."""
    return _full_arn(arguments, arguments.composition, full_composition_arn)


def _full_arn(arguments: argparse.Namespace, text: str | None, full_arn: Callable[..., str | None]) -> str | None:
    if text is None or ":" in text:
        return text
    server, access_key = DataFolder(Path(read_settings(arguments).data)).read_server_access()
    return full_arn(text, account_id=access_key.account_id, region=server.region)


def positive(text: str) -> int:
    """Return a positive whole number of the command line. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:12]) <= 1_000_000_000:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 1,000,000,000")
    return int(text)


def parse_moment(text: str) -> Moment:
    """Return a time of the command line: `2h` ago, or ISO 8601. Raises ArgumentTypeError."""
    if match := _AGO.fullmatch(text):
        length_ms = int(match[1]) * _UNIT_MS[match[2]]
        return lambda now_ms: max(0, now_ms - length_ms)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: use 2h, 2026-01-31 or 2026-01-31T12:00:00Z") from None
    moment_ms = max(0, epoch_ms(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)))
    return lambda _now_ms: moment_ms


def _one_of(texts: Collection[str]) -> Callable[[str], str]:
    """Return the conversion of a text, in any case, to one of these."""
    known = {text.lower(): str(text) for text in texts}

    def convert(text: str) -> str:
        try:
            return known[text.lower()]
        except KeyError:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(texts)}") from None

    return convert
