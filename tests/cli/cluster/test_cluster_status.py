"""`stagebook cluster status` on books whose nodes are rows: states, exit codes, what is listed."""

import json
from pathlib import Path
from typing import Any

import pytest

from stagebook.book.postgres.leases.account_leases import take_account
from stagebook.book.postgres.leases.node_run import end_run, register_run
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.cli.command_line import main
from stagebook.cluster.node_question import NodeReach, ask_node

LATE = "UPDATE node_run SET heartbeat_at = clock_timestamp() - interval '4 s' WHERE run_id = %s"


@pytest.fixture
def config(postgres_book_url: str, tmp_path: Path) -> Path:
    path = tmp_path / "stagebook.toml"
    path.write_text(f'book = "postgres"\ndatabase_url = "{postgres_book_url}"\n', encoding="utf-8")
    return path


def registered(connection: PostgresConnection, node: str, *account_ids: str) -> int:
    run_id = register_run(connection, node=node, internal_url=f"http://{node}:1", software_version="1")
    for account_id in account_ids:
        assert take_account(connection, account_id, run_id=run_id).is_taken
    return run_id


def status(config: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["cluster", "status", "--json", "--config", str(config), *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_accounts_are_owned_free_or_abandoned(
    config: Path, postgres_book_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = PostgresConnection(postgres_book_url)
    registered(connection, "a", "000000000001", "000000000002")
    end_run(connection, registered(connection, "b", "000000000003"))
    code, document = status(config, capsys)
    assert (code, document["accountCounts"]) == (0, {"OWNED": 2, "FREE": 1, "ABANDONED": 0})
    connection.execute(LATE, (registered(connection, "c", "000000000004"),))
    connection.close()
    code, document = status(config, capsys)
    assert (code, document["isHealthy"]) == (1, False)
    assert [(account["accountId"], account["state"], account["node"]) for account in document["accounts"]] == [
        ("000000000001", "OWNED", "a"),
        ("000000000002", "OWNED", "a"),
        ("000000000003", "FREE", "b"),
        ("000000000004", "ABANDONED", "c"),
    ]
    # The exit code is about the accounts that were asked for.
    assert [status(config, capsys, "--account", f"00000000000{number}")[0] for number in (1, 3, 4)] == [0, 0, 1]


def test_the_output_is_bounded(config: Path, postgres_book_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    connection = PostgresConnection(postgres_book_url)
    registered(connection, "a", *(f"{number:012}" for number in range(5)))
    connection.close()
    code, document = status(config, capsys, "--limit", "2")
    assert (code, len(document["accounts"]), document["accountCounts"]["OWNED"]) == (0, 2, 5)
    assert main(["cluster", "status", "--limit", "2", "--config", str(config)]) == 0
    assert "the first 2 of 5 accounts are listed" in capsys.readouterr().out


def test_a_node_is_listed_by_its_newest_run(
    config: Path, postgres_book_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = PostgresConnection(postgres_book_url)
    for _ in range(3):
        end_run(connection, newest := registered(connection, "a"))
    alive = registered(connection, "b")
    connection.close()
    _, document = status(config, capsys)
    assert [(node["runId"], node["state"]) for node in document["nodes"]] == [(newest, "ENDED"), (alive, "ALIVE")]


def test_a_book_in_a_file_has_no_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "status", "--data", str(tmp_path)]) == 1
    assert 'a cluster has book = "postgres"' in capsys.readouterr().err


def test_a_node_that_cannot_be_asked_is_named() -> None:
    def reach(url: str) -> NodeReach:
        return ask_node(url, run_id=1, cluster_secret="s" * 32).reach

    assert reach("") is NodeReach.NO_ADDRESS
    assert reach("http://127.0.0.1:1") is NodeReach.UNREACHABLE
