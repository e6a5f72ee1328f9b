"""The books that the suite of the port runs against: one factory per store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Book


class SqliteBooks:
    """Opens the same SQLite book again and again; at most one at a time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "book"
        self._opened: list[SqliteBook] = []

    def open(self, *, show_deleted_history: bool = False) -> Book:
        """Open the book for writing on the running loop."""
        book = SqliteBook.open(self._path, show_deleted_history=show_deleted_history)
        self._opened.append(book)
        return book

    async def close(self) -> None:
        """Close whatever is still open."""
        for book in self._opened:
            await book.close()


@pytest.fixture(params=["sqlite"])
async def books(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteBooks]:
    """A factory of one book. Another store joins the suite by a parameter here and a factory like SqliteBooks."""
    assert request.param == "sqlite"
    factory = SqliteBooks(tmp_path)
    yield factory
    await factory.close()


@pytest.fixture
async def book(books: SqliteBooks) -> Book:
    """An empty open book."""
    return books.open()
