"""The text of `stagebook cluster status` is the sample of docs/scaling.md."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from stagebook.book.postgres.leases.account_leases import AccountState, ListedAccount
from stagebook.book.postgres.leases.node_run import RunState
from stagebook.book.postgres.postgres_schema import POSTGRES_MIGRATIONS
from stagebook.cli.cluster.cluster_status import ClusterStatus, NodeStatus
from stagebook.cli.cluster.status_output import print_tables
from stagebook.cluster.database_status import DatabaseStatus, StandbyStatus
from stagebook.cluster.node_question import NodeReach

PAGE = Path(__file__).parents[3] / "docs" / "scaling.md"
COMMAND = "$ stagebook cluster status --config stagebook.toml\n"
TAKEN_MS = round(datetime(2026, 11, 29, 12, 24, 9, 123_000, tzinfo=UTC).timestamp() * 1_000)


def node(number: int, *, run_id: int, age_seconds: float, lease_seconds: float, accounts: int) -> NodeStatus:
    return NodeStatus(
        name=f"node-{number}",
        run_id=run_id,
        state=RunState.ALIVE,
        version="0.1.0",
        internal_url=f"http://10.0.0.{number}:9000",
        started_ms=TAKEN_MS,
        heartbeat_age_seconds=age_seconds,
        accounts=accounts,
        answer=NodeReach.ANSWERED.value,
        health="ok",
        lease_seconds=lease_seconds,
        backlog=0,
    )


STANDBY = StandbyStatus(name="standby_1", state="streaming", sync_state="sync", lag_bytes=0, lag_seconds=None)
STATUS = ClusterStatus(
    is_healthy=True,
    cluster_id="3f9c0d4e-0000-4000-8000-000000000000",
    schema_version=len(POSTGRES_MIGRATIONS),
    minimum_schema_version=1,
    database=DatabaseStatus(
        version="15.18",
        synchronous_standby_names="standby_1",
        synchronous_commit="on",
        fsync="on",
        full_page_writes="on",
        max_connections=100,
        connections=15,
        now_ms=TAKEN_MS,
        size_bytes=9_876_543,
        standbys=(STANDBY,),
    ),
    nodes=(
        node(1, run_id=4, age_seconds=0.2, lease_seconds=2.3, accounts=1),
        node(2, run_id=5, age_seconds=0.4, lease_seconds=2.1, accounts=0),
    ),
    account_counts={"OWNED": 1, "FREE": 0, "ABANDONED": 0},
    accounts=(
        ListedAccount(account_id="123456789012", state=AccountState.OWNED, node="node-1", run_id=4, taken_ms=TAKEN_MS),
    ),
)


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_the_sample_of_the_documentation_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (sample,) = (part.partition("```")[0] for part in page.split(COMMAND)[1:] if "Heartbeat" in part[:200])
    print_tables(STATUS, is_one=False)
    assert lines_of(sample) == lines_of(capsys.readouterr().out)
