"""The rows of runs."""

import threading

import pytest

from stagebook.book.book_errors import BookFailedError
from stagebook.book.postgres.leases.node_run import (
    RunState,
    end_run,
    list_runs,
    read_sequence_slot,
    register_run,
    renew_run,
)
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import RunFencedError
from stagebook.book.postgres.schema.account_functions import SEQUENCE_SLOTS


def registered(connection: PostgresConnection, node: str = "node") -> int:
    return register_run(connection, node=node, internal_url="http://10.0.0.1:9000", software_version="0.1")


def test_each_registration_is_another_run(connection: PostgresConnection) -> None:
    assert registered(connection) < registered(connection)


def slots(connection: PostgresConnection, *runs: int) -> list[int]:
    return [read_sequence_slot(connection, run_id).slot for run_id in runs]


def test_living_runs_have_slots_of_their_own(connection: PostgresConnection) -> None:
    first, second, third = (registered(connection) for _ in range(3))
    assert slots(connection, first, second, third) == [0, 1, 2]
    end_run(connection, second)
    connection.execute("UPDATE node_run SET heartbeat_at = now() - interval '61 minutes' WHERE run_id = %s", (first,))
    assert slots(connection, registered(connection), registered(connection), registered(connection)) == [0, 1, 3]
    with pytest.raises(RunFencedError):
        renew_run(connection, first)


def test_a_run_begins_above_the_numbers_of_its_slot(connection: PostgresConnection) -> None:
    first, second = registered(connection), registered(connection)
    connection.execute("UPDATE node_run SET last_sequence = run_id * 1000")
    for run_id in (first, second):
        end_run(connection, run_id)
    third, fourth = registered(connection), registered(connection)
    numbers = [read_sequence_slot(connection, run_id).last_sequence for run_id in (third, fourth)]
    assert numbers == [first * 1000, second * 1000]


def test_nodes_that_start_at_the_same_time_get_different_slots(postgres_book_url: str) -> None:
    found: list[int] = []
    ready = threading.Barrier(6)

    def start() -> None:
        own = PostgresConnection(postgres_book_url)
        ready.wait()
        found.extend(slots(own, registered(own)))
        own.close()

    nodes = [threading.Thread(target=start) for _ in range(6)]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join()
    assert sorted(found) == list(range(6))


def test_more_runs_than_slots_are_refused(connection: PostgresConnection) -> None:
    connection.execute(
        "INSERT INTO node_run (sequence_slot, backend_pid, node, internal_url, software_version)"
        " SELECT slot, 0, '', '', '' FROM generate_series(0, %s::integer - 1) AS slot",
        (SEQUENCE_SLOTS,),
    )
    with pytest.raises(BookFailedError, match="there are 1024 other nodes"):
        registered(connection)


def test_runs_are_listed_with_their_state(connection: PostgresConnection) -> None:
    alive, late, fenced, ended = (registered(connection, name) for name in ("alive", "late", "fenced", "ended"))
    connection.execute("UPDATE node_run SET heartbeat_at = now() - interval '4 s' WHERE run_id = %s", (late,))
    connection.execute("UPDATE node_run SET fenced_at = now() WHERE run_id = %s", (fenced,))
    end_run(connection, ended)
    runs = list_runs(connection, limit=10)
    assert [(run.run_id, run.node, run.state) for run in runs] == [
        (ended, "ended", RunState.ENDED),
        (fenced, "fenced", RunState.FENCED),
        (late, "late", RunState.LATE),
        (alive, "alive", RunState.ALIVE),
    ]
    assert 4.0 < runs[2].heartbeat_age_seconds < 60.0
    assert (runs[3].internal_url, runs[3].software_version, runs[3].accounts) == ("http://10.0.0.1:9000", "0.1", 0)


def test_a_renewal_makes_a_late_run_alive(connection: PostgresConnection) -> None:
    run_id = registered(connection)
    connection.execute("UPDATE node_run SET heartbeat_at = now() - interval '4 s', backend_pid = 1")
    renew_run(connection, run_id)
    assert list_runs(connection, limit=1)[0].state is RunState.ALIVE
    assert connection.execute("SELECT backend_pid = pg_backend_pid() FROM node_run") == [(True,)]


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE node_run SET fenced_at = now()",
        "UPDATE node_run SET ended_at = now()",
        "DELETE FROM node_run",
    ],
    ids=["fenced", "ended", "forgotten"],
)
def test_a_run_that_is_over_is_not_renewed(connection: PostgresConnection, end: str) -> None:
    run_id = registered(connection)
    connection.execute(end)
    with pytest.raises(RunFencedError, match="another node has taken over"):
        renew_run(connection, run_id)


def test_old_runs_are_forgotten_but_not_their_sequence_number(connection: PostgresConnection) -> None:
    old = registered(connection)
    connection.execute("UPDATE node_run SET last_sequence = 9, heartbeat_at = now() - interval '31 days'")
    new = registered(connection)
    assert [run.run_id for run in list_runs(connection, limit=10)] == [new] != [old]
    assert connection.execute("SELECT last_sequence FROM sequencer") == [(9,)]


def test_the_row_of_a_run_is_updated_in_its_page(connection: PostgresConnection) -> None:
    """Heartbeats must not grow the indexes of the table: each is a HOT update (storage-hot in PostgreSQL's manual)."""
    run_id = registered(connection)
    for _ in range(60):
        renew_run(connection, run_id)
    connection.execute(
        "SELECT pg_stat_force_next_flush() WHERE current_setting('server_version_num')::integer >= 150000"
    )
    ((updates, hot),) = connection.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'node_run'"
    )
    assert updates == hot
