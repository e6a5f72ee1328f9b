"""What `stagebook cluster status` prints, and its exit code."""

import argparse
from collections.abc import Iterator

import msgspec
from rich.table import Table

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.postgres.leases.account_leases import AccountState
from stagebook.book.postgres.leases.node_run import RunState
from stagebook.cli.cluster.cluster_status import ClusterStatus, NodeStatus, read_cluster_status
from stagebook.cli.events.event_flags import require_psycopg
from stagebook.cli.exit_codes import EXIT_FAILED, EXIT_OK, CommandFailedError
from stagebook.cli.setting_flags import read_settings
from stagebook.cli.terminal.event_rows import new_table
from stagebook.cli.terminal.terminal_text import counted, open_console, plain
from stagebook.cluster.database_status import DatabaseStatus, StandbyStatus
from stagebook.cluster.node_question import NodeReach
from stagebook.stage.timestamps import iso8601

_UNKNOWN = "-"
_NODE_HEADINGS = (
    *("Node", "Run", "State", "Health", "Version", "Internal URL"),
    *("Heartbeat", "Lease", "Backlog", "Accounts"),
)
_STYLES = {
    RunState.ALIVE: "green",
    RunState.LATE: "bold red",
    RunState.FENCED: "yellow",
    RunState.ENDED: "dim",
    AccountState.OWNED: "green",
    AccountState.FREE: "cyan",
    AccountState.ABANDONED: "bold red",
}


def print_status(arguments: argparse.Namespace) -> int:
    """Print the status; return the exit code: 0 if every account is owned by a node that lives, or is free.

    Raises CommandFailedError without a database.
    """
    settings = read_settings(arguments)
    if settings.database_url is None:
        raise CommandFailedError(
            'a cluster has book = "postgres" and database_url in its settings: name their file with --config'
        )
    require_psycopg()
    try:
        status = read_cluster_status(
            settings.database_url,
            account_id=arguments.account,
            limit=arguments.limit,
            cluster_secret=settings.cluster_secret,
        )
    except (BookRefusedError, BookFailedError) as error:
        raise CommandFailedError(str(error)) from error
    if arguments.format == "json":
        print(msgspec.json.format(msgspec.json.encode(status)).decode())
    else:
        print_tables(status, is_one=arguments.account is not None)
    return EXIT_OK if status.is_healthy else EXIT_FAILED


def print_tables(status: ClusterStatus, *, is_one: bool) -> None:
    """Print the status as text. `is_one`: it is that of one account."""
    console = open_console()
    console.print(_node_table(status))
    if status.accounts:
        console.print(_account_table(status))
    for line in (*_database_lines(status), *_summary(status, is_one=is_one)):
        console.print(plain(line))


def _node_table(status: ClusterStatus) -> Table:
    table = new_table(*_NODE_HEADINGS)
    for node in status.nodes:
        is_over = node.state in {RunState.ENDED, RunState.FENCED}
        table.add_row(
            plain(node.name),
            str(node.run_id),
            plain(node.state.value, style=_STYLES[node.state]),
            plain(_health(node)),
            plain(node.version),
            plain(node.internal_url or "none"),
            _UNKNOWN if is_over else f"{node.heartbeat_age_seconds:.1f} s",
            _UNKNOWN if node.lease_seconds is None else f"{node.lease_seconds:.1f} s",
            _UNKNOWN if node.backlog is None else f"{node.backlog:,}",
            _UNKNOWN if is_over else f"{node.accounts:,}",
        )
    return table


def _health(node: NodeStatus) -> str:
    if node.answer is None:
        return _UNKNOWN
    if node.answer == NodeReach.ANSWERED:
        return node.health or _UNKNOWN
    return f"{node.answer.replace('_', ' ')}: {node.reason}"


def _account_table(status: ClusterStatus) -> Table:
    table = new_table("Account", "State", "Node", "Run", "Since")
    for account in status.accounts:
        table.add_row(
            account.account_id,
            plain(account.state.value, style=_STYLES[account.state]),
            plain(account.node or _UNKNOWN),
            _UNKNOWN if account.run_id is None else str(account.run_id),
            iso8601(account.taken_ms),
        )
    return table


def _database_lines(status: ClusterStatus) -> Iterator[str]:
    database = status.database
    yield (
        f"PostgreSQL {database.version}, schema version {status.schema_version}, {database.size_bytes:,} bytes, "
        f"{database.connections} of {database.max_connections} connections"
    )
    yield f"synchronous standbys: {database.synchronous_standby_names or 'none'}; {_standbys(database)}"
    if not database.synchronous_standby_names and database.standbys:
        yield "a failover can lose acknowledged events: set synchronous_standby_names (docs/scaling.md)"


def _standbys(database: DatabaseStatus) -> str:
    if not database.standbys:
        return "no standby is connected"
    return "connected: " + ", ".join(_standby(each) for each in database.standbys)


def _standby(standby: StandbyStatus) -> str:
    if standby.state is None:
        return "a standby that only a user with the role pg_monitor may see"
    behind = "not known how far behind" if standby.lag_bytes is None else f"{standby.lag_bytes:,} bytes behind"
    seconds = "" if standby.lag_seconds is None else f", {standby.lag_seconds:.1f} s"
    return f"{standby.name or 'unnamed'} ({standby.sync_state}, {standby.state}, {behind}{seconds})"


def _summary(status: ClusterStatus, *, is_one: bool) -> Iterator[str]:
    counts = status.account_counts
    listed = len(status.accounts)
    if is_one and not listed:
        yield "this account has never had an owner: the node that gets a request for it takes it"
        return
    total = sum(counts.values())
    if not is_one and listed < total:
        yield f"the first {listed:,} of {total:,} accounts are listed: --limit, --account"
    alive = sum(node.state is RunState.ALIVE for node in status.nodes)
    yield (
        f"{counted(alive, 'node')} alive; {counted(total, 'account')}: {counts['OWNED']:,} owned, "
        f"{counts['FREE']:,} free, {counts['ABANDONED']:,} abandoned"
    )
