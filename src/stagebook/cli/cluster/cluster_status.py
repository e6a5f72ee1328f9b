"""The status of a cluster: what the database knows of its nodes and accounts, and what the nodes answer.

The nodes are asked in parallel, and only if `cluster_secret` is known. The database is asked first: it alone decides
which run owns an account.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from stagebook.api.node_state import NodeHealth
from stagebook.book.postgres.leases.account_leases import AccountState, ListedAccount, count_accounts, list_accounts
from stagebook.book.postgres.leases.node_run import NodeRun, RunState, list_runs
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import BookInfo, require_schema
from stagebook.cluster.database_status import DatabaseStatus, read_database_status
from stagebook.cluster.node_question import NodeAnswer, ask_node

MAXIMUM_RUNS: Final = 1_000
"""How many of the newest runs are looked at."""
MAXIMUM_NODES: Final = 200
QUESTIONS_AT_ONCE: Final = 16


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A node: its newest run, or an older one that lives or still has accounts.

    `state` and `heartbeat_age_seconds` are what the database knows. `answer` says what became of asking the node, None
    if it was not asked. `health` to `backlog` are what it has answered.
    """

    name: str
    run_id: int
    state: RunState
    version: str
    internal_url: str
    started_ms: int
    heartbeat_age_seconds: float
    accounts: int
    answer: str | None = None
    reason: str = ""
    health: str | None = None
    lease_seconds: float | None = None
    backlog: int | None = None


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The status of a cluster. `accounts` are the listed ones; `account_counts` has all of them by state."""

    is_healthy: bool
    cluster_id: str
    schema_version: int
    minimum_schema_version: int
    database: DatabaseStatus
    nodes: Sequence[NodeStatus]
    account_counts: dict[str, int]
    accounts: Sequence[ListedAccount]


def read_cluster_status(url: str, *, account_id: str | None, limit: int, cluster_secret: str | None) -> ClusterStatus:
    """Return the status. Nodes are only asked with `cluster_secret`. Raises BookRefusedError and BookFailedError."""
    connection = PostgresConnection(url)
    try:
        info = require_schema(connection)
        database = read_database_status(connection)
        runs = shown_runs(list_runs(connection, limit=MAXIMUM_RUNS))
        counts = count_accounts(connection)
        accounts = list_accounts(connection, limit=limit, account_id=account_id)
    finally:
        connection.close()
    return _status(info, database, _nodes(runs, cluster_secret), counts, accounts, is_one=account_id is not None)


def _status(
    info: BookInfo,
    database: DatabaseStatus,
    nodes: Sequence[NodeStatus],
    counts: dict[AccountState, int],
    accounts: Sequence[ListedAccount],
    *,
    is_one: bool,
) -> ClusterStatus:
    abandoned = sum(account.state is AccountState.ABANDONED for account in accounts) if is_one else None
    return ClusterStatus(
        is_healthy=not (counts[AccountState.ABANDONED] if abandoned is None else abandoned),
        cluster_id=info.cluster_id,
        schema_version=info.version,
        minimum_schema_version=info.minimum_version,
        database=database,
        nodes=nodes,
        account_counts={state.value: count for state, count in counts.items()},
        accounts=accounts,
    )


def shown_runs(runs: Iterable[NodeRun]) -> list[NodeRun]:
    """Return the newest run of each node, and older ones that live or are late with accounts; by the nodes' names.

    `runs` has the newest first.
    """
    seen: set[str] = set()
    shown = []
    for run in runs:
        is_open = run.state is RunState.ALIVE or (run.state is RunState.LATE and run.accounts > 0)
        if run.node not in seen or is_open:
            shown.append(run)
        seen.add(run.node)
    return sorted(shown[:MAXIMUM_NODES], key=lambda run: (run.node, run.run_id))


def _nodes(runs: Sequence[NodeRun], cluster_secret: str | None) -> Sequence[NodeStatus]:
    asked = [run for run in runs if run.state in {RunState.ALIVE, RunState.LATE} and run.internal_url]
    answers: dict[int, NodeAnswer] = {}
    if cluster_secret is not None and asked:
        secret = cluster_secret
        with ThreadPoolExecutor(max_workers=QUESTIONS_AT_ONCE) as threads:
            found = threads.map(lambda run: ask_node(run.internal_url, run_id=run.run_id, cluster_secret=secret), asked)
            answers = {run.run_id: answer for run, answer in zip(asked, found, strict=True)}
    return [_node(run, answers.get(run.run_id)) for run in runs]


def _node(run: NodeRun, answer: NodeAnswer | None) -> NodeStatus:
    status = NodeStatus(
        name=run.node,
        run_id=run.run_id,
        state=run.state,
        version=run.software_version,
        internal_url=run.internal_url,
        started_ms=run.started_ms,
        heartbeat_age_seconds=round(run.heartbeat_age_seconds, 3),
        accounts=run.accounts,
    )
    if answer is None:
        return status
    status = msgspec.structs.replace(status, answer=answer.reach.value, reason=answer.reason)
    if answer.health is None:
        return status
    status = msgspec.structs.replace(status, health=answer.health.status.value)
    node = answer.health.node
    if isinstance(node, NodeHealth):
        status = msgspec.structs.replace(status, lease_seconds=node.lease_seconds, backlog=node.backlog)
    return status
