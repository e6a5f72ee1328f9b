"""The awaitable reads on a pool of threads return what the reader returns."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from stagebook.book.book_values import ParticipantFilter
from stagebook.book.sqlite.open_readers import open_reader
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.tables.pooled.pooled_pages import PooledPages
from stagebook.book.tables.pooled.reader_pool import ReaderPool
from stagebook.book.tables.pooled.reader_thread import PooledRead
from tests.book.paged_reads import READS, fill
from tests.book.sample import ACCOUNT, ARN, SESSION, append, commit, open_book


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[SqliteBook]:
    book = open_book(tmp_path / "book")
    await fill(book)
    yield book
    await book.close()


@pytest.fixture
async def pool(filled: SqliteBook, tmp_path: Path) -> AsyncIterator[ReaderPool]:
    assert filled.backlog == 0
    pool = ReaderPool(partial(open_reader, tmp_path / "book"), threads=2)
    yield pool
    await pool.close()


@pytest.mark.parametrize("name", READS)
async def test_a_read_returns_what_the_reader_returns(filled: SqliteBook, pool: ReaderPool, name: str) -> None:
    assert await READS[name](PooledPages(pool)) == READS[name](filled)


async def test_a_read_finds_what_was_acknowledged_before(filled: SqliteBook, pool: ReaderPool) -> None:
    pages = PooledPages(pool)
    for _ in range(10):
        (sequence,) = await commit(filled, append("p"))
        assert (await pages.page_events(ARN, SESSION, "p", after=None, limit=1))[0][0] == sequence


@pytest.mark.parametrize("name", READS)
async def test_a_read_counts_for_its_account(pool: ReaderPool, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts: list[str] = []

    def put(account_id: str, read: PooledRead) -> None:
        accounts.append(account_id)
        read.finish()

    monkeypatch.setattr(pool._queue, "put", put)
    await READS[name](PooledPages(pool))
    assert accounts == [ACCOUNT]


@pytest.mark.parametrize("arn", ["", "arn:aws", "a:b:c:d:e", ":" * 100])
async def test_a_malformed_arn_names_nothing(pool: ReaderPool, arn: str) -> None:
    pages = PooledPages(pool)
    assert await pages.get_stage(arn) is None
    page = await pages.list_participants(arn, SESSION, where=ParticipantFilter(), after=None, limit=1)
    assert page.items == []
