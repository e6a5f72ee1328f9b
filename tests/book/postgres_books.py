"""Books in a PostgreSQL database that tests use in turns."""

import asyncio
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from stagebook.book.postgres.postgres_book import NodeDescription, PostgresBook
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_readers import open_event_log, open_session_history
from stagebook.book.postgres.postgres_schema import migrate
from stagebook.book.tables.session_history import SessionHistory
from stagebook.book.tables.table_event_log import TableEventLog
from tests.book.sample import ACCOUNT, read_secret

ACCOUNTS = (ACCOUNT, "999999999999", "210987654321")
"""The accounts of the samples and of the tests of the port."""
_EMPTY = """
DELETE FROM account_lease; DELETE FROM node_run; DELETE FROM stage; DELETE FROM session; DELETE FROM participant;
DELETE FROM event; DELETE FROM open_event; DELETE FROM open_recording; DELETE FROM revocation;
DELETE FROM connection_token_revocation; DELETE FROM resource; DELETE FROM replica; DELETE FROM composition;
DELETE FROM composition_event; DELETE FROM expired_session; DELETE FROM expired_composition
"""
"""For a few rows, DELETE is faster than TRUNCATE, which makes a new file for each table and index."""

_database_numbers = itertools.count(1)


@contextmanager
def shared_database(server_url: str) -> Iterator[str]:
    """Yield the URL of a new database with the tables of a book."""
    name = f"books_{os.getpid()}_{next(_database_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        url = server_url.rpartition("/")[0] + f"/{name}"
        made = PostgresConnection(url)
        migrate(made)
        made.close()
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def empty_tables(url: str) -> None:
    """Delete all rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_EMPTY)


class PostgresBooks:
    """Implements `Books` with a database. The book owns all accounts of the tests."""

    def __init__(self, url: str) -> None:
        """Delete what an earlier test has left."""
        self.url = url
        self._opened: list[PostgresBook] = []
        empty_tables(url)

    def open(
        self, *, show_deleted_history: bool = False, loop: asyncio.AbstractEventLoop | None = None
    ) -> PostgresBook:
        """Open the book for writing on `loop`, by default the running one."""
        book = PostgresBook.open(
            self.url,
            node=NodeDescription(name="test"),
            read_secret=read_secret,
            loop=loop,
            show_deleted_history=show_deleted_history,
            reads_row_keys=True,
        )
        self._opened.append(book)
        for account_id in ACCOUNTS:
            assert book.acquire_at_once(account_id)
        return book

    def open_event_log(self) -> TableEventLog:
        """Open the event log of the book."""
        return open_event_log(self.url)

    def open_session_history(self) -> SessionHistory:
        """Open the sessions of the book."""
        return open_session_history(self.url)

    async def close(self) -> None:
        """Close every book that was opened."""
        for book in self._opened:
            await book.close()
