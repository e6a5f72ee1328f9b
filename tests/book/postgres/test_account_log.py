"""The log of one account: nothing of it is missed, whatever other accounts and nodes write, and a read is bounded."""

from collections.abc import AsyncIterator

import pytest

from stagebook.book.changes import PutStage
from stagebook.book.postgres.account_log import AccountLog, read_account_position
from stagebook.book.postgres.postgres_book import NodeDescription, PostgresBook
from tests.book.sample import (
    ACCOUNT,
    append,
    append_composition,
    commit,
    open_session,
    put,
    put_composition,
    put_stage,
    read_secret,
    stage,
)

OTHER = "999999999999"
OTHER_ARN = f"arn:aws:ivs:us-west-2:{OTHER}:stage/otherOTHER00"


def open_node(url: str, name: str) -> PostgresBook:
    return PostgresBook.open(url, node=NodeDescription(name=name), read_secret=read_secret)


@pytest.fixture
async def node(postgres_book_url: str) -> AsyncIterator[PostgresBook]:
    """A node that owns two accounts, each with a participant in a session."""
    book = open_node(postgres_book_url, "a")
    for account_id in (ACCOUNT, OTHER):
        assert await book.acquire(account_id, may_fence=True)
    await commit(book, put_stage(), open_session(), put("p"))
    other = PutStage(stage=stage(OTHER_ARN, account_id=OTHER))
    await commit(book, other, open_session(arn=OTHER_ARN), put("p", arn=OTHER_ARN))
    yield book
    await book.close()


async def test_a_read_goes_on_behind_the_events_of_other_accounts(postgres_book_url: str, node: PostgresBook) -> None:
    log = AccountLog(postgres_book_url, run_id=node.run_id, examined_events=10)
    await commit(node, append("p"))
    (first,) = log.read_after(ACCOUNT, 0, limit=200).entries
    for _ in range(3):
        await commit(node, *(append("p", arn=OTHER_ARN) for _ in range(10)))
    await commit(node, append("p"))
    pages = [log.read_after(ACCOUNT, first.sequence, limit=200)]
    while not pages[-1].has_all:
        pages.append(log.read_after(ACCOUNT, pages[-1].read_to, limit=200))
    # 31 events, of which a read examines 10 and the next one after them.
    assert [len(each.entries) for each in pages] == [0, 0, 1]
    assert pages[-1].read_to == pages[-1].entries[0].sequence == read_account_position(postgres_book_url, ACCOUNT)
    log.close()


async def test_a_position_moves_with_the_events_of_other_accounts_of_the_run(
    postgres_book_url: str, node: PostgresBook
) -> None:
    log = AccountLog(postgres_book_url, run_id=node.run_id)
    await commit(node, append("p", arn=OTHER_ARN))
    page = log.read_after(ACCOUNT, 0, limit=200)
    assert (page.entries, page.has_all) == ([], True)
    assert page.read_to == node.durable_sequence
    await commit(node, append("p"), put_composition(), append_composition())
    assert len(log.read_after(ACCOUNT, page.read_to, limit=200).entries) == 2
    full = log.read_after(ACCOUNT, page.read_to, limit=1)
    assert (full.read_to, full.has_all) == (full.entries[0].sequence, False)
    log.close()


async def test_nothing_is_read_of_an_account_of_another_run_and_its_position_is_not_passed(
    postgres_book_url: str, node: PostgresBook
) -> None:
    second = open_node(postgres_book_url, "b")
    log = AccountLog(postgres_book_url, run_id=second.run_id)
    await commit(node, append("p"))
    page = log.read_after(ACCOUNT, 7, limit=200)
    assert (list(page.entries), page.read_to, page.has_all) == ([], 7, True)
    await node.close()
    assert await second.acquire(ACCOUNT, may_fence=True)
    page = log.read_after(ACCOUNT, 7, limit=200)
    assert len(page.entries) == 1
    # What the new owner writes is behind the position, whatever the clocks of the nodes say.
    await commit(second, append("p"))
    assert len(log.read_after(ACCOUNT, page.read_to, limit=200).entries) == 1
    assert read_account_position(postgres_book_url, "111111111111") == 0
    log.close()
    await second.close()
