"""The runs of nodes: one row for each life of a server process. The id of a run is the fencing token.

A run writes only while its row has neither `fenced_at` nor `ended_at`: the function that writes checks it in the same
transaction (`write_function.py`). A run shows that it lives by its heartbeat, which each group renews, and `renew_run`
when nothing is written. All times are by the clock of the database, so the clocks of nodes do not matter.

* `register_run` begins a run, and `end_run` ends it at a clean shutdown: its accounts are then free at once.
* A run whose heartbeat is older than LEASE_SECONDS may be fenced by a run that takes one of its accounts
  (`account_functions.py`). It learns so at its next write or renewal, by RunFencedError, and its process ends.
* A process must not rely on its run for longer than LEASE_SECONDS after the beginning of its last successful write or
  renewal, by its own monotonic clock: another node may own the accounts then.

The sequence numbers that a run gives are those whose remainder, divided by SEQUENCE_SLOTS, is its slot. No other living
run has the slot, so all numbers of a book are different, whatever the clocks of the nodes are: the event log has one
order, and each number is a position in it. A run begins above the numbers of the runs that had its slot before.

Rows of runs that are over are kept for a while, for `stagebook cluster status`; ids are never used again.
"""

from enum import StrEnum
from typing import Final

import msgspec

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import RunFencedError

LEASE_SECONDS: Final = 3.0
"""How long a run is believed after its last heartbeat."""
HEARTBEAT_SECONDS: Final = 0.5
"""How often a run that writes nothing renews its heartbeat: a lease has time for several attempts."""

_REGISTER: Final = "SELECT run_register_1(%s, %s, %s)"
_SLOT: Final = """
SELECT sequence_slot, (SELECT max(last_sequence) FROM node_run AS former WHERE former.sequence_slot = own.sequence_slot)
FROM node_run AS own WHERE run_id = %s
"""
_RENEW: Final = """
UPDATE node_run SET heartbeat_at = clock_timestamp(), backend_pid = pg_backend_pid()
WHERE run_id = %s AND fenced_at IS NULL AND ended_at IS NULL RETURNING run_id
"""
_END: Final = """
UPDATE node_run SET ended_at = clock_timestamp() WHERE run_id = %s AND fenced_at IS NULL AND ended_at IS NULL
"""
# What the row of a forgotten run was the last to know: the newest sequence number.
_FORGET: Final = """
WITH forgotten AS (
    DELETE FROM node_run
    WHERE coalesce(fenced_at, ended_at, heartbeat_at) < clock_timestamp() - interval '30 days'
        AND NOT EXISTS (SELECT 1 FROM account_lease WHERE account_lease.run_id = node_run.run_id)
    RETURNING last_sequence
)
UPDATE sequencer SET last_sequence = greatest(last_sequence, (SELECT max(last_sequence) FROM forgotten))
WHERE EXISTS (SELECT 1 FROM forgotten)
"""
_LIST: Final = """
SELECT run_id, node, internal_url, software_version, (extract(epoch FROM started_at) * 1000)::bigint,
    extract(epoch FROM clock_timestamp() - heartbeat_at)::double precision, fenced_at IS NOT NULL,
    ended_at IS NOT NULL, (SELECT count(*) FROM account_lease WHERE account_lease.run_id = node_run.run_id)
FROM node_run ORDER BY run_id DESC LIMIT %s
"""


class RunState(StrEnum):
    """What is known of a run. LATE: its lease has passed, and nobody has fenced it."""

    ALIVE = "ALIVE"
    LATE = "LATE"
    FENCED = "FENCED"
    ENDED = "ENDED"


class NodeRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the database knows it. `accounts` is the number of accounts that it has, or had until its end."""

    run_id: int
    node: str
    internal_url: str
    software_version: str
    started_ms: int
    heartbeat_age_seconds: float
    state: RunState
    accounts: int


class SequenceSlot(msgspec.Struct, frozen=True, kw_only=True):
    """Which sequence numbers a run may give: those above `last_sequence` with the remainder `slot`."""

    slot: int
    last_sequence: int


def register_run(connection: PostgresConnection, *, node: str, internal_url: str, software_version: str) -> int:
    """Begin a run on the connection that will write; return its id. `internal_url` is where other nodes reach it."""
    connection.execute(_FORGET)
    ((run_id,),) = connection.execute(_REGISTER, (node, internal_url, software_version))
    return int(run_id)


def read_sequence_slot(connection: PostgresConnection, run_id: int) -> SequenceSlot:
    """Return the sequence numbers of a run that was registered."""
    ((slot, last_sequence),) = connection.execute(_SLOT, (run_id,))
    return SequenceSlot(slot=slot, last_sequence=last_sequence)


def renew_run(connection: PostgresConnection, run_id: int) -> None:
    """Renew the heartbeat of a run, on the connection that writes: after LEASE_SECONDS others may end its session.

    Raises RunFencedError if the run is over, and BookUnreachableError.
    """
    if not connection.execute(_RENEW, (run_id,)):
        raise RunFencedError(f"run {run_id} of this node is over: another node has taken over, try again")


def end_run(connection: PostgresConnection, run_id: int) -> None:
    """End a run: it writes nothing after this, and its accounts may be taken at once. Idempotent."""
    connection.execute(_END, (run_id,))


def list_runs(connection: PostgresConnection, *, limit: int, lease_seconds: float = LEASE_SECONDS) -> list[NodeRun]:
    """Return the newest runs of all nodes, the newest first."""
    return [_run(row, lease_seconds) for row in connection.execute(_LIST, (limit,))]


def _run(row: tuple[int, str, str, str, int, float, bool, bool, int], lease_seconds: float) -> NodeRun:
    run_id, node, internal_url, software_version, started_ms, age_seconds, is_fenced, is_ended, accounts = row
    if is_fenced:
        state = RunState.FENCED
    elif is_ended:
        state = RunState.ENDED
    else:
        state = RunState.LATE if age_seconds > lease_seconds else RunState.ALIVE
    return NodeRun(
        run_id=run_id,
        node=node,
        internal_url=internal_url,
        software_version=software_version,
        started_ms=started_ms,
        heartbeat_age_seconds=age_seconds,
        state=state,
        accounts=accounts,
    )
