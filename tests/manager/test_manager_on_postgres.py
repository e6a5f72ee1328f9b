"""Stage managers of several nodes on one book in PostgreSQL: decisions on memory, takeover, and the end of an owner."""

from collections.abc import AsyncIterator

import pytest

from stagebook.book.book_errors import BookFailedError
from stagebook.book.memory.memory_book import MemoryBook
from stagebook.book.postgres.postgres_book import NodeDescription, PostgresBook
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_readers import open_pool
from stagebook.book.tables.pooled.reader_pool import ReaderPool
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.events import Cause
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import ParticipantState
from tests.book.postgres_books import empty_tables
from tests.book.sample import read_secret
from tests.manager.compositions.scripted_composer import ScriptedComposer
from tests.manager.manager_harness import (
    ACCOUNT,
    LINGER_MS,
    REGION,
    ManagerHarness,
    PlainTokens,
    SeededRandomness,
    SettableClock,
)
from tests.manager.recordings.scripted_recorder import ScriptedRecorder
from tests.manager.scripted_engine import ScriptedEngine

_EXPIRE = "UPDATE node_run SET heartbeat_at = heartbeat_at - interval '1 minute'"


class Nodes:
    """Managers on one book, each with a run of its own. Each one takes the account of the samples."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._control = PostgresConnection(url)
        self._pools: list[ReaderPool] = []
        self._books: list[PostgresBook] = []
        self._managers: list[StageManager] = []
        self.clock = SettableClock()

    async def start(self, name: str) -> ManagerHarness:
        """Start a node that takes the account, whose owner before, if any, is not heard of any more."""
        self._control.execute(_EXPIRE)
        book = PostgresBook.open(
            self._url, node=NodeDescription(name=name), read_secret=read_secret, show_deleted_history=True
        )
        pool = open_pool(self._url, show_deleted_history=True, seal=book.seal)
        memory = MemoryBook(book, keys=book.loaded_keys, reads=pool)
        self._pools.append(pool)
        self._books.append(book)
        engine, tokens = ScriptedEngine(), PlainTokens(memory)
        composer, recorder = ScriptedComposer(), ScriptedRecorder()
        manager = StageManager(
            book=memory,
            media=engine,
            tokens=tokens,
            endpoints=Endpoints(events="ws://e", whip="http://w", rtmp="rtmp://r/app/", rtmps="rtmps://r/app/"),
            limits=RELAXED,
            region=REGION,
            clock=self.clock,
            randomness=SeededRandomness(len(self._books)),
            linger_ms=LINGER_MS,
            recording=recorder,
            composition=composer,
        )
        self._managers.append(manager)
        manager.listen()
        assert await book.acquire(ACCOUNT)
        await memory.load_account(ACCOUNT)
        await manager.recover(ACCOUNT)
        return ManagerHarness(
            manager=manager,
            book=book,  # type: ignore[arg-type]  # the harness reads it by the port
            engine=engine,
            clock=self.clock,
            tokens=tokens,
            composer=composer,
            recorder=recorder,
        )

    async def close(self) -> None:
        for manager in self._managers:
            await manager.stop_watching()
        for pool in self._pools:
            await pool.close()
        for book in self._books:
            await book.close()
        self._control.close()


@pytest.fixture
async def nodes(postgres_database: str) -> AsyncIterator[Nodes]:
    empty_tables(postgres_database)
    nodes = Nodes(postgres_database)
    yield nodes
    await nodes.close()


async def test_a_stage_is_used_as_on_a_book_in_a_file(nodes: Nodes) -> None:
    node = await nodes.start("a")
    stage = await node.stage()
    await node.publish(node.claims(stage, "P"))
    viewing = await node.subscribe(node.claims(stage, "V"), "P")
    await node.manager.participants.close(node.claims(stage, "V"), connection_id=viewing)
    nodes.clock.ms += LINGER_MS + 1
    await node.subscribe(node.claims(stage, "V"), "P")
    await node.manager.stages.delete(stage_arn=stage.arn)
    assert await node.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    viewed = ["SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)"]
    assert await node.events(stage, "V") in (["JOINED", *viewed, *viewed, "LEFT"], ["JOINED", *viewed, "LEFT"] * 2)


async def test_a_taker_closes_what_its_predecessor_has_left_open_and_goes_on(nodes: Nodes) -> None:
    first = await nodes.start("a")
    stage = await first.stage()
    await first.publish(first.claims(stage, "P"))
    await first.subscribe(first.claims(stage, "V"), "P")
    await first.settled()
    interrupted = first.session_id(stage)
    nodes.clock.ms += 60_000

    second = await nodes.start("b")

    assert await second.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert await second.events(stage, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)", "SUBSCRIBE_STOPPED(P)", "LEFT"]
    left = second.book.list_events(stage.arn, interrupted, "P")[-1]
    assert (left.event.cause, left.time_ms) == (Cause.CRASH_RECOVERY, nodes.clock.ms)
    record = second.book.get_participant(stage.arn, interrupted, "P")
    assert record is not None
    assert record.state is ParticipantState.DISCONNECTED
    await second.publish(second.claims(stage, "P"))
    assert await second.events(stage, "P") == ["JOINED", "PUBLISH_STARTED"]
    assert second.session_id(stage) != interrupted


async def test_nobody_joins_at_a_node_that_has_lost_its_account(nodes: Nodes) -> None:
    first = await nodes.start("a")
    stage = await first.stage()
    second = await nodes.start("b")
    with pytest.raises(BookFailedError):
        await first.publish(first.claims(stage, "P"))
    await second.publish(second.claims(stage, "P"))
    assert await second.events(stage, "P") == ["JOINED", "PUBLISH_STARTED"]


async def test_resources_of_an_account_move_with_it(nodes: Nodes) -> None:
    first = await nodes.start("a")
    stage = await first.stage()
    configuration = await first.configuration(stage)
    second = await nodes.start("b")
    await second.publish_rtmp(configuration.stream_key)
    assert await second.events(stage, configuration.participant_id) == ["JOINED", "PUBLISH_STARTED"]
