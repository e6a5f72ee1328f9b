"""The committer on PostgreSQL: groups over lost connections, renewals, the end of a fenced run."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import pytest

from stagebook.book.book_errors import BookBusyError, BookUnavailableError
from stagebook.book.postgres.leases.node_run import LEASE_SECONDS, RunState, list_runs, register_run
from stagebook.book.postgres.postgres_committer import MARGIN_SECONDS, PostgresCommitter
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import BookUnreachableError, RunFencedError
from stagebook.book.store import Durable
from stagebook.book.tables.change_rows import EVENTS
from stagebook.book.tables.rows import Row
from stagebook.book.tables.writer.group_committer import TransactionGroup
from tests.book.postgres_books import empty_tables

PATIENCE_SECONDS = 30.0
_FENCE = "UPDATE node_run SET fenced_at = clock_timestamp() WHERE run_id = %s"
_COUNT = "SELECT count(*), count(DISTINCT sequence) FROM event"


class Interrupted:
    """A connection whose calls fail as if the network were cut: `lost` before the statement arrives or after it."""

    def __init__(self, connection: PostgresConnection) -> None:
        self.connection = connection
        self.lost: list[str] = []
        self.seconds_lost: Callable[[], None] = lambda: None

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        moment = self.lost.pop(0) if self.lost else ""
        if moment == "before":
            self.seconds_lost()
            raise BookUnreachableError("cut off")
        rows = self.connection.execute(statement, parameters)
        if moment == "after":
            self.seconds_lost()
            raise BookUnreachableError("cut off")
        return rows

    def transaction(self) -> AbstractContextManager[None]:
        return self.connection.transaction()

    def close(self) -> None:
        self.connection.close()


class Fixture:
    """A committer with a run, and a clock that a test moves."""

    def __init__(self, connection: PostgresConnection) -> None:
        self.connection = Interrupted(connection)
        self.now = 1_000.0
        self.run_id = register_run(connection, node="test", internal_url="", software_version="")
        self.committer = PostgresCommitter(
            self.connection,  # type: ignore[arg-type]  # what a committer uses
            run_id=self.run_id,
            renewed_at=self.now,
            patience_seconds=PATIENCE_SECONDS,
            clock=lambda: self.now,
        )

    def group(self, sequence: int) -> TransactionGroup:
        """Return a group with one event."""
        group = TransactionGroup(Durable(loop=asyncio.get_running_loop()), opened_at=0.0)
        group.add([(EVENTS, f"[1,1,{sequence},0,null,null,0,null,null,null]")], sequence, sequence)
        return group


@pytest.fixture
def connection(postgres_database: str) -> Iterator[PostgresConnection]:
    """A connection to an empty book."""
    empty_tables(postgres_database)
    connection = PostgresConnection(postgres_database)
    yield connection
    connection.close()


@pytest.fixture
async def fixture(connection: PostgresConnection) -> Fixture:
    return Fixture(connection)


@pytest.mark.parametrize("lost", [[], ["before"], ["after"], ["before", "after", "before", "after"]])
async def test_a_group_is_written_once_however_the_connection_is_lost(
    fixture: Fixture, connection: PostgresConnection, lost: list[str]
) -> None:
    fixture.committer.commit(fixture.group(1))
    fixture.connection.lost = lost
    fixture.committer.commit(fixture.group(2))
    fixture.committer.commit(fixture.group(3))
    assert connection.execute(_COUNT) == [(3, 3)]


async def test_a_group_may_be_acknowledged_for_less_than_a_lease_after_it_was_sent(fixture: Fixture) -> None:
    fixture.connection.lost = ["after"]
    fixture.connection.seconds_lost = lambda: setattr(fixture, "now", fixture.now + 10)
    group = fixture.group(1)
    fixture.committer.commit(group)
    # The attempt that was answered counts.
    assert group.acknowledged_before == 1_010.0 + LEASE_SECONDS - MARGIN_SECONDS == fixture.committer.owned_before


async def test_a_late_group_is_not_written_again(fixture: Fixture, connection: PostgresConnection) -> None:
    group = fixture.group(1)
    fixture.committer.commit(group)
    fixture.now += 60
    fixture.committer.commit(group)
    assert connection.execute(_COUNT) == [(1, 1)]
    assert group.acknowledged_before > fixture.now


async def test_a_late_group_of_a_fenced_run_is_not_acknowledged(
    fixture: Fixture, connection: PostgresConnection
) -> None:
    group = fixture.group(1)
    fixture.committer.commit(group)
    connection.execute(_FENCE, (fixture.run_id,))
    with pytest.raises(RunFencedError):
        fixture.committer.commit(group)


async def test_a_fenced_run_writes_nothing_and_learns_it_at_once(
    fixture: Fixture, connection: PostgresConnection
) -> None:
    connection.execute(_FENCE, (fixture.run_id,))
    with pytest.raises(RunFencedError):
        fixture.committer.commit(fixture.group(1))
    with pytest.raises(RunFencedError):
        fixture.committer.wait()
    with pytest.raises(RunFencedError):
        fixture.committer.run_idle(lambda _connection: None, needs_open_events=True)
    assert connection.execute(_COUNT) == [(0, 0)]


async def test_the_patience_with_a_database_that_is_out_of_reach_ends(fixture: Fixture) -> None:
    fixture.connection.lost = ["before"] * 9
    fixture.connection.seconds_lost = lambda: setattr(fixture, "now", fixture.now + PATIENCE_SECONDS / 2)
    with pytest.raises(BookUnavailableError):
        fixture.committer.commit(fixture.group(1))
    assert len(fixture.connection.lost) == 7


async def test_a_book_that_is_being_closed_does_not_wait_for_the_database(fixture: Fixture) -> None:
    fixture.connection.lost = ["before"] * 9
    fixture.committer.interrupt()
    with pytest.raises(BookUnavailableError):
        fixture.committer.commit(fixture.group(1))
    assert len(fixture.connection.lost) == 8


async def test_a_run_that_writes_nothing_is_renewed(fixture: Fixture, connection: PostgresConnection) -> None:
    connection.execute("UPDATE node_run SET heartbeat_at = heartbeat_at - interval '1 minute'")
    assert list_runs(connection, limit=1)[0].state is RunState.LATE
    fixture.now += 60
    fixture.committer.wait()
    assert list_runs(connection, limit=1)[0].state is RunState.ALIVE
    assert fixture.committer.owned_before == fixture.now + LEASE_SECONDS - MARGIN_SECONDS


async def test_idle_work_holds_the_run_and_is_undone_if_it_fails(
    fixture: Fixture, connection: PostgresConnection
) -> None:
    fixture.committer.commit(fixture.group(1))

    def delete_and_fail(writing: PostgresConnection) -> None:
        writing.execute("DELETE FROM event")
        raise BookUnreachableError("cut off")

    with pytest.raises(BookBusyError):
        fixture.committer.run_idle(delete_and_fail, needs_open_events=True)
    assert connection.execute(_COUNT) == [(1, 1)]
