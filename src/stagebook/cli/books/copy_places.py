"""The places of `stagebook book copy`: a book in a data folder, in a file, or in a PostgreSQL database.

DATA-FOLDER, sqlite:DATA-FOLDER, sqlite:FILE
postgresql://..., postgres:postgresql://..., postgres:      the last one is `database_url` of the settings
"""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

import msgspec

from stagebook.book.book_errors import BookRefusedError
from stagebook.book.copying.copied_secrets import BookSecrets
from stagebook.book.copying.copy_ports import SharedRows, SharedTarget, SourceStore, TargetStore
from stagebook.book.copying.sqlite_copy import SqliteSource, SqliteTarget
from stagebook.cli.books.shared_files import SharedFilesSource, SharedFilesTarget
from stagebook.cli.events.event_flags import require_psycopg
from stagebook.cli.exit_codes import CommandFailedError
from stagebook.cli.setting_flags import read_settings
from stagebook.data_folder.secret_files import SecretFiles
from stagebook.data_folder.secrets import DataFolder
from stagebook.data_folder.testing_mark import claim_folder

_SQLITE: Final = "sqlite:"
_POSTGRES: Final = "postgres:"
_URL_STARTS: Final = ("postgresql://", "postgres://")
_FILE_SUFFIXES: Final = (".sqlite3", ".sqlite", ".db")


class SourceParts(msgspec.Struct, frozen=True, kw_only=True):
    """A place that is read: the book, the webhooks and bearer keys, the secrets."""

    store: SourceStore
    shared: SharedRows
    secrets: BookSecrets


class TargetParts(msgspec.Struct, frozen=True, kw_only=True):
    """A place that gets a copy, as SourceParts."""

    store: TargetStore
    shared: SharedTarget
    secrets: BookSecrets

    def complete(self) -> None:
        """Make the copy durable, and the book that a server finds. The book comes last."""
        self.shared.complete_shared()
        self.store.complete()


class CopyPlace(Protocol):
    """Where a book is, or where a copy goes."""

    is_for_tests: bool
    """Whether tests may have moved the times of the book (`testing_mark.py`)."""

    def open_source(self, parts: ExitStack, *, while_running: bool) -> SourceParts:
        """Open the book for reading; `parts` closes it.

        Raises BookRefusedError, BookFailedError and DataFolderError.
        """

    def open_target(self, parts: ExitStack, *, is_for_tests: bool) -> TargetParts:
        """Begin a copy to this place; `parts` ends it. Raises as `open_source`."""


class SqlitePlace:
    """Implements `CopyPlace`: a file, with the secrets in its folder."""

    def __init__(self, text: str) -> None:
        path = Path(text)
        self._is_folder = not (path.is_file() or (not path.is_dir() and path.suffix in _FILE_SUFFIXES))
        self._folder = DataFolder(path if self._is_folder else path.parent)
        self._path = self._folder.book_path if self._is_folder else path
        self.is_for_tests = self._folder.testing_mark_path.exists()

    def open_source(self, parts: ExitStack, *, while_running: bool) -> SourceParts:
        """Open the book for reading."""
        if not self._path.exists():
            raise BookRefusedError(f"there is no book at {self._path}")
        # Before the book, so that no position of a webhook is behind its end.
        shared = parts.enter_context(SharedFilesSource(self._folder))
        store = parts.enter_context(SqliteSource(self._path, while_running=while_running))
        return SourceParts(store=store, shared=shared, secrets=SecretFiles(self._folder.path))

    def open_target(self, parts: ExitStack, *, is_for_tests: bool) -> TargetParts:
        """Begin a copy to the file. A data folder is made if it is missing."""
        if self._is_folder:
            self._folder.prepare()
        # It locks the folder.
        store = parts.enter_context(SqliteTarget(self._path))
        claim_folder(self._folder, is_testing=is_for_tests)
        shared = parts.enter_context(SharedFilesTarget(self._folder))
        return TargetParts(store=store, shared=shared, secrets=SecretFiles(self._folder.path))


class PostgresPlace:
    """Implements `CopyPlace`: a database."""

    is_for_tests = False

    def __init__(self, url: str) -> None:
        self._url = url

    def open_source(self, parts: ExitStack, *, while_running: bool) -> SourceParts:
        """Open the book for reading."""
        from stagebook.book.copying.postgres_copy import PostgresSource  # an optional extra; see require_psycopg

        source = parts.enter_context(PostgresSource(self._url, while_running=while_running))
        return SourceParts(store=source, shared=source, secrets=source)

    def open_target(self, parts: ExitStack, *, is_for_tests: bool) -> TargetParts:
        """Begin a copy to the database. Raises CommandFailedError for a book of tests."""
        from stagebook.book.copying.postgres_copy import PostgresTarget  # an optional extra; see require_psycopg

        if is_for_tests:
            raise CommandFailedError(
                "tests may have moved the times of this book: copy it to a data folder, for `serve --testing`"
            )
        target = parts.enter_context(PostgresTarget(self._url))
        return TargetParts(store=target, shared=target, secrets=target)


def parse_place(text: str, arguments: argparse.Namespace) -> CopyPlace:
    """Return the place that a text of the command line names. Raises CommandFailedError and ConfigError."""
    if text.startswith(_URL_STARTS):
        url = text
    elif text.startswith(_POSTGRES):
        url = text.removeprefix(_POSTGRES) or _configured_url(arguments)
    else:
        return SqlitePlace(text.removeprefix(_SQLITE))
    require_psycopg()
    return PostgresPlace(url)


def _configured_url(arguments: argparse.Namespace) -> str:
    url = read_settings(arguments).database_url
    if url is None:
        raise CommandFailedError('`postgres:` alone needs book = "postgres" and database_url in the settings')
    return url
