"""Connections to a book in PostgreSQL that is made for one test."""

from collections.abc import Iterator

import pytest

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import migrate


@pytest.fixture
def book_url(postgres_url: str) -> str:
    """The URL of a database with an empty book."""
    connection = PostgresConnection(postgres_url)
    migrate(connection)
    connection.close()
    return postgres_url


@pytest.fixture
def connection(book_url: str) -> Iterator[PostgresConnection]:
    """A connection to an empty book."""
    connection = PostgresConnection(book_url)
    yield connection
    connection.close()
