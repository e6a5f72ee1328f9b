"""The awaitable reads of a book in PostgreSQL, on a pool of threads with a connection each."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_readers import open_connection, open_pages, open_reader
from stagebook.book.postgres.postgres_schema import migrate
from stagebook.book.tables.pooled.pooled_pages import PooledPages
from stagebook.book.tables.pooled.reader_pool import ReaderPool
from stagebook.book.tables.table_reader import TableReader
from stagebook.stage.errors import ServerBusyError
from tests.book.paged_reads import READS, TRANSACTIONS, fill
from tests.book.postgres.group_writer import GroupWriter
from tests.book.sample import ARN, SESSION, append, open_book
from tests.postgres_server import running_server


@pytest.fixture
def writer(connection: PostgresConnection) -> GroupWriter:
    writer = GroupWriter(connection, sequence_slots=1)
    writer.write(*TRANSACTIONS)
    return writer


@pytest.fixture
async def pages(postgres_book_url: str) -> AsyncIterator[PooledPages]:
    pages = open_pages(postgres_book_url, threads=2)
    yield pages
    await pages.close()


async def test_the_reads_return_what_those_of_sqlite_return(
    writer: GroupWriter, pages: PooledPages, tmp_path: Path
) -> None:
    book = open_book(tmp_path / "book")
    await fill(book)
    assert writer.groups == 1
    assert {name: await read(pages) for name, read in READS.items()} == {
        name: read(book) for name, read in READS.items()
    }
    await book.close()


async def test_a_read_finds_what_was_acknowledged_before(writer: GroupWriter, pages: PooledPages) -> None:
    for _ in range(5):
        writer.write([append("p")])
        rows = await pages.page_events(ARN, SESSION, "p", after=None, limit=1)
        assert rows[0][0] == writer.translator.last_sequence


async def test_a_read_that_takes_too_long_is_refused_and_harms_no_other(
    writer: GroupWriter, postgres_book_url: str
) -> None:
    assert writer.groups == 1

    def open_short_reader() -> TableReader:
        connection = open_connection(postgres_book_url, patience_seconds=0, statement_seconds=1.0)
        return TableReader(connection, show_deleted_history=False)

    pool = ReaderPool(open_short_reader, threads=1, patience_seconds=0.01)
    with pytest.raises(ServerBusyError, match="does not answer"):
        await pool.run("a", lambda reader: reader._connection.rows("SELECT pg_sleep(60)"))
    assert await PooledPages(pool).get_stage(ARN) is not None
    await pool.close()


async def test_a_connection_that_the_server_has_ended_is_opened_again(
    writer: GroupWriter, connection: PostgresConnection, pages: PooledPages
) -> None:
    assert writer.groups == 1
    assert await pages.get_stage(ARN) is not None
    ended = connection.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    assert ended == [(True,)]
    assert await pages.get_stage(ARN) is not None


@pytest.mark.slow
async def test_reads_wait_while_the_server_restarts() -> None:
    with running_server(fsync=False) as server:
        connection = PostgresConnection(server.url())
        migrate(connection)
        GroupWriter(connection).write(*TRANSACTIONS)
        connection.close()
        pool = ReaderPool(partial(open_reader, server.url(), patience_seconds=0), patience_seconds=60)
        pages = PooledPages(pool)
        assert await pages.get_stage(ARN) is not None
        server.stop("fast")
        waiting = [asyncio.create_task(pages.get_stage(ARN)) for _ in range(10)]
        await asyncio.to_thread(server.start)
        assert None not in await asyncio.gather(*waiting)
        await pool.close()
