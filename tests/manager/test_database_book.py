"""A manager of two nodes' runs over PostgreSQL: decisions read memory, and no statement runs on the event loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from stagebook.book.memory.memory_book import MemoryBook
from stagebook.book.postgres.postgres_book import NodeDescription, PostgresBook
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.tables.pooled.reader_pool import ReaderPool
from stagebook.book.tables.table_reader import TableReader
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.composition.composition import CompositionState
from stagebook.stage.resources import RecordingState
from tests.book.sample import SEAL, read_secret
from tests.manager.manager_harness import ACCOUNT, CLIENT, ManagerHarness, Watcher, running_manager

JOURNEY = ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]


def open_reader(url: str) -> TableReader:
    return TableReader(PostgresConnection(url), show_deleted_history=True, seal=SEAL)


def refuse(statement: str, _parameters: Any = ()) -> None:  # noqa: ANN401 - of any statement
    raise AssertionError(f"the event loop waited for the database: {statement}")


@asynccontextmanager
async def node(url: str, tmp_path: Path, *, name: str) -> AsyncIterator[tuple[ManagerHarness, StageManager]]:
    """Run a node that owns the account. It ends as in a crash. Tests read on a connection of their own."""
    book = PostgresBook.open(url, node=NodeDescription(name=name), read_secret=read_secret)
    pool, reader = ReaderPool(lambda: open_reader(url)), open_reader(url)
    memory = MemoryBook(book, keys=book.loaded_keys, reads=pool)
    with (
        patch("tests.manager.manager_harness.decided_book", lambda _book, _path: memory),
        patch("tests.manager.manager_harness.start_manager", _start),
        patch.object(book._connection, "rows", refuse),
    ):
        async with running_manager(tmp_path / name) as harness:
            shown = replace(harness, book=cast("SqliteBook", reader))
            yield shown, harness.manager
        await pool.close()
    reader.close_reading()
    await book.close()


async def _start(manager: StageManager, memory: MemoryBook, *, now_ms: int) -> int:  # noqa: ARG001
    book = cast("PostgresBook", memory._book)
    manager.listen()
    assert await book.acquire(ACCOUNT)
    await memory.load_account(ACCOUNT)
    return await manager.recover(ACCOUNT)


async def test_a_second_node_goes_on_with_what_the_first_has_left(postgres_book_url: str, tmp_path: Path) -> None:
    async with node(postgres_book_url, tmp_path, name="first") as (harness, manager):
        stage, other = await harness.recorded_stage(), await harness.stage()
        connection_id = await harness.publish(harness.claims(stage, "P"))
        await harness.subscribe(harness.claims(stage, "V"), "P")
        await manager.participants.close(harness.claims(stage, "P"), connection_id=connection_id)
        await harness.settled()
        # P is in the database only, and returns.
        await harness.publish(harness.claims(stage, "P"))
        await manager.replications.start(
            source_stage_arn=stage.arn,
            destination_stage_arn=other.arn,
            participant_id="P",
            window_seconds=30,
            attributes={},
        )
        configuration = await harness.configuration(stage, redundant=True)
        for credential in configuration.redundant_credentials:
            await harness.publish_rtmp(credential.stream_key)
        await manager.stages.disconnect_participant(stage_arn=stage.arn, participant_id="V", reason="rude")
        await harness.settled()
        assert await harness.events(stage, "P") == [*JOURNEY, "JOINED", "PUBLISH_STARTED", "REPLICATION_STARTED"]

    async with node(postgres_book_url, tmp_path, name="second") as (harness, manager):
        assert (await harness.events(stage, "P"))[-3:] == ["PUBLISH_STOPPED", "REPLICATION_STOPPED", "LEFT"]
        assert harness.book.list_open_sessions() == []
        assert harness.book.list_open_recordings() == []
        assert manager.stages.find(stage.arn).name == stage.name
        record = harness.book.get_participant(stage.arn, harness.session_id(stage), "P")
        assert record is not None
        assert record.recording_state is RecordingState.FAILED
        await manager.participants.open_events(harness.claims(stage, "W"), watcher=Watcher(), client=CLIENT)
        await manager.stages.delete(stage_arn=stage.arn)
        assert await harness.events(stage, "W") == ["JOINED", "LEFT"]
        assert manager._unit.book.count_stages(ACCOUNT) == 1
        assert {each.state for each in harness.book.compositions.list_open()} <= {CompositionState.STOPPED}
