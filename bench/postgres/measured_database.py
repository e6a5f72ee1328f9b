"""A PostgreSQL server for the benchmark, with fsync, and the CPU time of its processes."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from stagebook.book.postgres.postgres_book import NodeDescription, PostgresBook
from stagebook.book.tables.stream_key_seal import SECRET_SIZE_BYTES
from tests.postgres_server import PostgresServer

_TICKS = os.sysconf("SC_CLK_TCK")


class MeasuredDatabase:
    """A running server. Each book gets a database of its own."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        (first_line, *_) = (server.folder / "data" / "postmaster.pid").read_text(encoding="ascii").splitlines()
        self._postmaster = int(first_line)

    def new_url(self) -> str:
        """Create an empty database; return its URL."""
        name = f"bench_{secrets.token_hex(4)}"
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._server.url(name)

    def cpu_seconds(self) -> float:
        """Return the CPU time so far of all processes that the server has started, in steps of 10 ms."""
        total = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            own, of_ended_children = fields[11:13], fields[13:15]
            if int(path.parent.name) == self._postmaster:
                total += sum(map(int, (*own, *of_ended_children)))
            elif int(fields[1]) == self._postmaster:
                total += sum(map(int, own))
        return total / _TICKS


@contextmanager
def measured_database() -> Iterator[MeasuredDatabase]:
    """Run a server. Raises NoPostgresError if there is no PostgreSQL."""
    server = PostgresServer(fsync=True)
    try:
        server.start()
        yield MeasuredDatabase(server)
    finally:
        server.delete()


def open_postgres_book(url: str, account_id: str) -> PostgresBook:
    """Open a new book for an account."""
    book = PostgresBook.open(url, node=NodeDescription(name="bench"), read_secret=_no_secret)
    assert book.acquire_at_once(account_id)
    return book


def _no_secret(*, may_generate: bool) -> bytes:  # noqa: ARG001 - the book has no stream keys
    return bytes(SECRET_SIZE_BYTES)
