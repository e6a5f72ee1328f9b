"""The books that the tests of the port run against; there is one factory for each store."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from stagebook.book.server_book import ServerBook
from stagebook.book.sqlite.open_readers import open_event_log, open_session_history
from stagebook.book.tables.session_history import SessionHistory
from stagebook.book.tables.table_event_log import TableEventLog
from tests.book.postgres_books import PostgresBooks
from tests.book.sample import open_book


class Books(Protocol):
    """Opens the same book repeatedly, one at a time."""

    def open(self, *, show_deleted_history: bool = False) -> ServerBook:
        """Open the book for writing on the running loop."""

    def open_event_log(self) -> TableEventLog:
        """Open the event log of the book."""

    def open_session_history(self) -> SessionHistory:
        """Open the sessions of the book."""

    async def close(self) -> None:
        """Close every book that was opened."""


class SqliteBooks:
    """Implements `Books` with a file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "book"
        self._opened: list[ServerBook] = []

    def open(self, *, show_deleted_history: bool = False) -> ServerBook:
        """Open the book for writing on the running loop."""
        book = open_book(self._path, show_deleted_history=show_deleted_history)
        self._opened.append(book)
        return book

    def open_event_log(self) -> TableEventLog:
        """Open the event log of the book."""
        return open_event_log(self._path)

    def open_session_history(self) -> SessionHistory:
        """Open the sessions of the book."""
        return open_session_history(self._path)

    async def close(self) -> None:
        """Close every book that was opened."""
        for book in self._opened:
            await book.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def books(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Books]:
    """A factory of one book. To test another store, add a parameter and a factory like SqliteBooks."""
    factory = (
        SqliteBooks(tmp_path)
        if request.param == "sqlite"
        else PostgresBooks(request.getfixturevalue("postgres_database"))
    )
    yield factory
    await factory.close()


@pytest.fixture
async def book(books: Books) -> ServerBook:
    """An empty book, open for writing."""
    return books.open()
