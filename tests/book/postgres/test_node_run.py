"""The rows of runs."""

import pytest

from stagebook.book.postgres.node_run import RunState, end_run, list_runs, register_run, renew_run
from stagebook.book.postgres.postgres_connection import PostgresConnection, RunFencedError


def registered(connection: PostgresConnection, node: str = "node") -> int:
    return register_run(connection, node=node, internal_url="http://10.0.0.1:9000", software_version="0.1")


def test_each_registration_is_another_run(connection: PostgresConnection) -> None:
    assert registered(connection) < registered(connection)


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
    with pytest.raises(RunFencedError, match="must end"):
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
