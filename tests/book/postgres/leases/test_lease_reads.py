"""Reads of leases: each change once, whatever the order in which transactions end, and no more than the changes."""

import time
from collections.abc import Iterator

import pytest

from stagebook.book.postgres.leases.account_leases import take_account
from stagebook.book.postgres.leases.lease_reads import LeasePosition, LivingRun, read_leases, renumber_leases
from stagebook.book.postgres.leases.node_run import end_run, register_run
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import SESSION_SETTINGS

ACCOUNT, OTHER = "111122223333", "444455556666"
LATE = "UPDATE node_run SET heartbeat_at = clock_timestamp() - interval '3.1 s' WHERE run_id = %s"
LARGE_NUMBER = 20_000


def registered(connection: PostgresConnection, node: str) -> int:
    return register_run(connection, node=node, internal_url=f"http://{node}", software_version="1")


@pytest.fixture
def run(connection: PostgresConnection) -> int:
    return registered(connection, "first")


@pytest.fixture
def other(postgres_book_url: str) -> Iterator[PostgresConnection]:
    """Another connection, whose transactions may be long."""
    settings = {**SESSION_SETTINGS, "idle_in_transaction_session_timeout": "0"}
    connection = PostgresConnection(postgres_book_url, settings=settings)
    yield connection
    connection.close()


def position_after_all(connection: PostgresConnection) -> LeasePosition:
    """Return the position of a read that has seen everything.

    A transaction that is in progress in another database of the server, of another test, makes a read repeat changes.
    """
    deadline = time.monotonic() + 60
    position = read_leases(connection, None).position
    while read_leases(connection, position).runs:
        assert time.monotonic() < deadline
        position = read_leases(connection, position).position
    return position


def test_the_first_read_is_complete_and_the_next_has_only_changes(connection: PostgresConnection, run: int) -> None:
    take_account(connection, ACCOUNT, run_id=run)
    first = read_leases(connection, None)
    assert (first.is_complete, first.runs) == (True, {ACCOUNT: run})
    assert first.living == {run: LivingRun(node="first", internal_url="http://first")}
    position = position_after_all(connection)
    take_account(connection, OTHER, run_id=run)
    for _ in range(2):
        read = read_leases(connection, position)
        assert (read.is_complete, read.runs) == (False, {OTHER: run})


def test_a_change_that_becomes_visible_after_a_later_one_is_read(
    connection: PostgresConnection, other: PostgresConnection, run: int
) -> None:
    position = position_after_all(connection)
    other.script("BEGIN")
    take_account(other, ACCOUNT, run_id=run)
    take_account(connection, OTHER, run_id=run)
    between = read_leases(connection, position)
    assert between.runs == {OTHER: run}
    other.script("COMMIT")
    assert read_leases(connection, between.position).runs[ACCOUNT] == run


@pytest.mark.parametrize("is_late", [False, True])
def test_a_run_that_has_ended_or_is_late_does_not_live(
    connection: PostgresConnection, run: int, *, is_late: bool
) -> None:
    if is_late:
        connection.execute(LATE, (run,))
    else:
        end_run(connection, run)
    assert read_leases(connection, None).living == {}


def test_a_read_in_another_session_is_complete(
    connection: PostgresConnection, other: PostgresConnection, run: int
) -> None:
    take_account(connection, ACCOUNT, run_id=run)
    position = read_leases(other, None).position
    read = read_leases(connection, position)
    assert (read.is_complete, read.runs) == (True, {ACCOUNT: run})


def test_a_read_tells_the_time_of_the_database(connection: PostgresConnection) -> None:
    ((now,),) = connection.execute("SELECT extract(epoch FROM now())::double precision")
    assert now <= read_leases(connection, None).database_seconds < now + 60


def test_leases_of_another_server_are_renumbered(connection: PostgresConnection, run: int) -> None:
    take_account(connection, ACCOUNT, run_id=run)
    connection.script("ALTER TABLE account_lease DISABLE TRIGGER account_lease_changed")
    connection.execute("UPDATE account_lease SET changed_in = '1000000000000'")
    connection.script("ALTER TABLE account_lease ENABLE TRIGGER account_lease_changed")
    position = read_leases(connection, None).position
    assert read_leases(connection, position).runs == {ACCOUNT: run}
    renumber_leases(connection)
    assert read_leases(connection, position_after_all(connection)).runs == {}


def test_a_read_without_changes_touches_few_pages_of_a_large_table(connection: PostgresConnection, run: int) -> None:
    connection.execute(
        "INSERT INTO account_lease (account_id, run_id) SELECT number::text, %s FROM generate_series(1, %s) AS number",
        (run, LARGE_NUMBER),
    )
    connection.script("ANALYZE account_lease")
    position = position_after_all(connection)
    before = touched_pages(connection)
    for _ in range(10):
        assert read_leases(connection, position).runs == {}
    assert touched_pages(connection) - before < 10 * 10


def touched_pages(connection: PostgresConnection) -> int:
    """The pages of the table of leases and its indexes that this session has looked at, as of now."""
    ((pages,),) = connection.execute(
        "SELECT sum(pg_stat_get_xact_blocks_fetched(oid)) FROM pg_class WHERE relname LIKE 'account_lease%%'"
    )
    return int(pages)
