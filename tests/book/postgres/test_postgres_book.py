"""The book on PostgreSQL as one of several: accounts that it owns, what it takes over, and its end."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from stagebook.book.book_errors import BookFailedError, BookRefusedError, ChangeRefusedError
from stagebook.book.changes import PutStage, RevokeConnectionToken, sequence_time_ms
from stagebook.book.postgres import postgres_committer, postgres_session
from stagebook.book.postgres.key_blocks import BLOCK_KEYS
from stagebook.book.postgres.postgres_book import NodeDescription, PostgresBook
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import RunFencedError
from stagebook.book.tables.stream_key_seal import SECRET_SIZE_BYTES
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState
from tests.book.postgres.cuttable_proxy import CuttableProxy
from tests.book.postgres_books import empty_tables
from tests.book.retained import delete_old
from tests.book.sample import (
    ACCOUNT,
    ARN,
    NOON_MS,
    SESSION,
    append,
    commit,
    end_session,
    open_session,
    public_key,
    put,
    put_composition,
    put_resource,
    put_stage,
    read_secret,
    stage,
)
from tests.book.tables.test_stream_key_seal import CONFIGURATION

OTHER_ACCOUNT = "999999999999"
_EXPIRE = "UPDATE node_run SET heartbeat_at = heartbeat_at - interval '1 minute' WHERE run_id = %s"


class Nodes:
    """Opens the book as several nodes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.control = PostgresConnection(url)
        self._opened: list[PostgresBook] = []

    def open(self, name: str = "a") -> PostgresBook:
        """Open the book as a node."""
        book = PostgresBook.open(self.url, node=NodeDescription(name=name), read_secret=read_secret)
        self._opened.append(book)
        return book

    def expire(self, book: PostgresBook) -> None:
        """Let the lease of a run pass, as if the node had been stopped."""
        self.control.execute(_EXPIRE, (book.run_id,))

    async def close(self) -> None:
        for book in self._opened:
            await book.close()
        self.control.close()


@pytest.fixture
async def nodes(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Nodes]:
    # A heartbeat would renew a lease that a test lets pass.
    monkeypatch.setattr(postgres_committer.PostgresCommitter, "idle_seconds", 60.0)
    empty_tables(postgres_database)
    nodes = Nodes(postgres_database)
    yield nodes
    await nodes.close()


async def test_an_account_has_one_owner_until_the_owner_closes_its_book(nodes: Nodes) -> None:
    first, second = nodes.open("a"), nodes.open("b")
    assert await first.acquire(ACCOUNT)
    assert await first.acquire(ACCOUNT)
    assert not await second.acquire(ACCOUNT)
    assert (first.owns(ACCOUNT), second.owns(ACCOUNT)) == (True, False)
    assert await second.acquire(OTHER_ACCOUNT)
    await first.close()
    assert await second.acquire(ACCOUNT)


async def test_old_sessions_of_an_account_that_nobody_owns_are_deleted_when_somebody_has_taken_it(nodes: Nodes) -> None:
    first = nodes.open("a")
    await first.acquire(ACCOUNT)
    await commit(first, put_stage(), open_session(), put("p"), append("p"))
    await commit(first, append("p", EventName.LEFT), end_session())
    await first.close()
    second = nodes.open("b")
    await second.acquire(OTHER_ACCOUNT)
    assert await delete_old(second) == {}
    await second.acquire(ACCOUNT)
    assert await delete_old(second) == {"session": 1, "participant": 1, "event": 2}


@pytest.mark.parametrize(
    "change",
    [
        put_stage(),
        PutStage(stage=stage(account_id=OTHER_ACCOUNT)),
        put_resource(public_key()),
        RevokeConnectionToken(account_id=ACCOUNT, token_id="one", at_ms=NOON_MS),
        put_composition(),
        open_session(),
    ],
)
async def test_changes_of_an_account_that_is_not_owned_are_refused(nodes: Nodes, change: PutStage) -> None:
    book = nodes.open()
    await book.acquire("111111111111")
    with pytest.raises(ChangeRefusedError):
        book.submit([change])


async def test_a_taker_goes_on_where_the_former_owner_has_stopped(nodes: Nodes) -> None:
    first = nodes.open("a")
    await first.acquire(ACCOUNT)
    connected = ParticipantRecord(participant_id="p", state=ParticipantState.CONNECTED)
    (sequence,) = await commit(first, put_stage(), open_session(), put(connected), append("p", at_ms=NOON_MS + 5_000))
    nodes.expire(first)

    second = nodes.open("b")
    assert await second.acquire(ACCOUNT)

    assert second.submitted_time_ms == sequence_time_ms(sequence) == NOON_MS + 5_000
    # The clock of the second node is behind that of the first.
    (later,) = await commit(second, append("p", EventName.LEFT), end_session())
    assert later == sequence + 1
    assert [each.event.name for each in second.list_events(ARN, SESSION, "p")] == [EventName.JOINED, EventName.LEFT]


async def test_the_keys_of_an_account_grow_from_owner_to_owner_and_back(nodes: Nodes) -> None:
    books = [nodes.open(name) for name in "abc"]
    # Each has a block already, the last of them the newest one.
    for book, account_id in zip(books, ("100000000000", "200000000000", "300000000000"), strict=True):
        await book.acquire(account_id)
        arn = f"arn:aws:ivs:us-west-2:{account_id}:stage/own"
        await commit(book, PutStage(stage=stage(arn, account_id=account_id)))
    for number, book in enumerate((books[2], books[0], books[1])):
        assert await book.acquire(ACCOUNT)
        await commit(book, put_stage(f"{ARN}{number}"))
        nodes.expire(book)
    page = books[1].list_stages(ACCOUNT, after=None, limit=9)
    assert [each.arn for each in page.items] == [f"{ARN}{number}" for number in range(3)]


async def test_many_new_rows_take_blocks_without_waiting_for_the_database(nodes: Nodes) -> None:
    book = nodes.open()
    await book.acquire(ACCOUNT)
    count = 2 * BLOCK_KEYS + 1
    for number in range(count):
        durable = book.submit([put_stage(f"{ARN}{number}")]).durable
        if number % 500 == 0:
            await durable
    await durable
    assert book.stage_count == book.count_stages(ACCOUNT) == count


async def test_a_fenced_book_fails_at_its_next_write(nodes: Nodes) -> None:
    first, second = nodes.open("a"), nodes.open("b")
    await first.acquire(ACCOUNT)
    await commit(first, put_stage())
    nodes.expire(first)
    assert await second.acquire(ACCOUNT)

    with pytest.raises(RunFencedError):
        await commit(first, open_session())
    assert isinstance(await first.wait_ended(), RunFencedError)
    with pytest.raises(BookFailedError):
        first.submit([open_session()])
    with pytest.raises(BookFailedError):
        await first.acquire(OTHER_ACCOUNT)
    await commit(second, open_session())


async def test_a_book_without_writes_keeps_its_lease(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_committer.PostgresCommitter, "idle_seconds", 0.01)
    first, second = nodes.open("a"), nodes.open("b")
    await first.acquire(ACCOUNT)
    nodes.expire(first)
    before = first.owned_before

    def wait_for_renewal() -> None:
        while first.owned_before == before:
            time.sleep(0.01)

    await asyncio.to_thread(wait_for_renewal)
    assert not await second.acquire(ACCOUNT)


async def test_stream_keys_that_were_sealed_with_another_secret_are_refused(nodes: Nodes) -> None:
    book = nodes.open()
    await book.acquire(ACCOUNT)
    await commit(book, put_resource(CONFIGURATION))
    assert book.get_resource(CONFIGURATION.arn) == CONFIGURATION

    def other_secret(*, may_generate: bool) -> bytes:
        assert not may_generate
        return bytes(SECRET_SIZE_BYTES)

    with pytest.raises(BookRefusedError, match="another secret"):
        PostgresBook.open(nodes.url, node=NodeDescription(name="b"), read_secret=other_secret)


async def test_closing_does_not_wait_for_a_database_that_does_not_answer(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_session, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(postgres_committer.PostgresCommitter, "stop_seconds", 0.1)
    empty_tables(postgres_database)
    with CuttableProxy(postgres_database) as proxy:
        book = PostgresBook.open(proxy.url, node=NodeDescription(name="a"), read_secret=read_secret)
        await book.acquire(ACCOUNT)
        await commit(book, put_stage())
        proxy.cut()
        durable = book.submit([open_session()]).durable
        await asyncio.wait_for(book.close(), timeout=60)  # without a bound it would not end
    with pytest.raises(BookFailedError):
        await durable
    assert isinstance(await book.wait_ended(), BookFailedError)


async def test_a_short_outage_is_waited_for(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_session, "ANSWER_SECONDS", 0.2)
    empty_tables(postgres_database)
    with CuttableProxy(postgres_database) as proxy:
        book = PostgresBook.open(proxy.url, node=NodeDescription(name="a"), read_secret=read_secret)
        await book.acquire(ACCOUNT)
        proxy.cut()
        submission = book.submit([put_stage()])
        done, _ = await asyncio.wait([submission.durable], timeout=0.5)
        assert not done
        proxy.heal()
        await submission.durable
        await book.close()


async def test_accounts_are_free_after_the_end_of_a_run_and_reads_go_on(nodes: Nodes) -> None:
    first, second = nodes.open("a"), nodes.open("b")
    assert await first.acquire(ACCOUNT)
    submitted = first.submit([PutStage(stage=stage())])
    await first.end_run()
    await first.end_run()
    assert submitted.durable.done()
    assert await second.acquire(ACCOUNT, may_fence=False)
    with pytest.raises(BookFailedError):
        first.submit([PutStage(stage=stage())])
    assert first.get_stage(ARN) == second.get_stage(ARN) == stage()
