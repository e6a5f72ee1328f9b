"""The book that the tests of the port run against; there is one factory for each store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Book
from tests.book.sample import open_book


class SqliteBooks:
    """Opens the same SQLite book repeatedly, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "book"
        self._opened: list[SqliteBook] = []

    def open(self, *, show_deleted_history: bool = False) -> Book:
        """Open the book for writing on the running loop."""
        book = open_book(self._path, show_deleted_history=show_deleted_history)
        self._opened.append(book)
        return book

    async def close(self) -> None:
        """Close every book that was opened."""
        for book in self._opened:
            await book.close()


@pytest.fixture(params=["sqlite"])
async def books(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteBooks]:
    """A factory of one book. To test another store, add a parameter and a factory like SqliteBooks."""
    assert request.param == "sqlite"
    factory = SqliteBooks(tmp_path)
    yield factory
    await factory.close()


@pytest.fixture
async def book(books: SqliteBooks) -> Book:
    """An empty book, open for writing."""
    return books.open()
