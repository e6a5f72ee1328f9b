"""Readers of a book in PostgreSQL in processes without a node."""

import pytest

from stagebook.book.book_errors import BookRefusedError
from stagebook.book.changes import PutStage
from stagebook.book.postgres.postgres_readers import open_reader
from stagebook.book.tables.session_history import SessionFilter
from tests.book.postgres_books import ACCOUNTS, PostgresBooks
from tests.book.sample import ARN, NOON_MS, commit, end_session, open_session, put_stage, stage

OTHER_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNTS[1]}:stage/otherOTHER00"


async def test_a_reader_sees_what_is_durable(postgres_database: str) -> None:
    books = PostgresBooks(postgres_database)
    book = books.open()
    reader = open_reader(postgres_database)
    await commit(book, put_stage())
    assert reader.get_stage(ARN) == stage()
    reader.close_reading()
    await books.close()


def test_a_database_without_a_book_is_refused(postgres_url: str) -> None:
    with pytest.raises(BookRefusedError, match="no book"):
        open_reader(postgres_url)


async def test_sessions_within_a_time_are_found_whichever_account_has_the_larger_keys(postgres_database: str) -> None:
    """A block of keys is of one node: an account whose node took its block earlier has smaller keys for ever."""
    books = PostgresBooks(postgres_database)
    book = books.open()
    await commit(book, put_stage(), PutStage(stage=stage(OTHER_ARN, account_id=ACCOUNTS[1])))
    # Starts that do not follow the keys.
    for number, start_ms in enumerate((5_000, 1_000, 4_000, 2_000, 3_000)):
        arn = ARN if number % 2 else OTHER_ARN
        await commit(book, open_session(f"st-{number}", arn=arn, start_ms=NOON_MS + start_ms))
        await commit(book, end_session(f"st-{number}", arn=arn, end_ms=NOON_MS + 9_000))
    history = books.open_session_history()
    where = SessionFilter(since_ms=NOON_MS + 2_000, until_ms=NOON_MS + 5_000)
    page = history.list_sessions(where, after=None, limit=100)
    assert [entry.session_id for entry in page.items] == ["st-4", "st-3", "st-2"]
    page = history.list_sessions(where, after=None, limit=2)
    assert ([entry.session_id for entry in page.items], page.next_position is None) == (["st-4", "st-3"], False)
    history.close()
    await books.close()
