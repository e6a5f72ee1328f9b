"""Connections to a book in PostgreSQL that is made for one test."""

from collections.abc import Iterator

import pytest

from stagebook.book.postgres.postgres_connection import PostgresConnection


@pytest.fixture
def connection(postgres_book_url: str) -> Iterator[PostgresConnection]:
    """A connection to an empty book."""
    connection = PostgresConnection(postgres_book_url)
    yield connection
    connection.close()
