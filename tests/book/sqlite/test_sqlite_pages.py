"""The awaitable reads of a SQLite book return what its reader returns, at once."""

import pytest

from stagebook.book.sqlite.sqlite_pages import SqlitePages
from stagebook.book.store import Book
from tests.book.paged_reads import READS, all_reads, fill
from tests.book.sample import ARN, SESSION, append, commit


def test_every_read_of_the_port_is_tested() -> None:
    assert set(READS) == all_reads()


@pytest.mark.parametrize("name", READS)
async def test_a_read_returns_what_the_reader_returns(book: Book, name: str) -> None:
    await fill(book)
    expected = READS[name](book)
    assert expected
    assert await READS[name](SqlitePages(book)) == expected


async def test_a_read_finds_what_was_acknowledged_before(book: Book) -> None:
    await fill(book)
    pages = SqlitePages(book)
    (sequence,) = await commit(book, append("p"))
    assert (await pages.page_events(ARN, SESSION, "p", after=None, limit=1))[0][0] == sequence


async def test_a_read_is_not_suspended(book: Book) -> None:
    await fill(book)
    read = SqlitePages(book).page_events(ARN, SESSION, "p", after=None, limit=1)
    with pytest.raises(StopIteration):
        read.send(None)
