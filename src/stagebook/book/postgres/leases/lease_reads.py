"""Reads of the owners of all accounts, at the cost of what has changed.

A node reads the leases several times a second, and a lease changes when its owner does. So a read returns the leases
that have changed since the read before, and the runs that live, of which there is one for each node.

A lease has the id of the transaction that wrote it last (`changed_in`), and each read the lowest id of those that were
in progress: all lower ones had ended, and the read has seen what they have written. So the next read asks for that
id and all above it. A number from a sequence would not do: a transaction can become visible after one with a
higher number. Transaction ids are those of one database server, so a position is valid for its session only.

`renumber_leases` is for a database that was restored from a dump: its leases have ids of another server, and each read
would return those that are ahead.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from stagebook.book.postgres.leases.node_run import LEASE_SECONDS
from stagebook.book.postgres.postgres_connection import PostgresConnection

_READ: Final = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text,
    extract(epoch FROM clock_timestamp())::double precision,
    ARRAY(SELECT ARRAY[account_id, run_id::text] FROM account_lease
        WHERE changed_in >= %s::text::xid8 AND run_id IS NOT NULL),
    ARRAY(SELECT run_id FROM node_run
        WHERE fenced_at IS NULL AND ended_at IS NULL
            AND heartbeat_at >= clock_timestamp() - %s::double precision * interval '1 second')
"""
_RUNS: Final = "SELECT run_id, node, internal_url FROM node_run WHERE run_id = ANY(%s::bigint[])"
_RENUMBER: Final = """
UPDATE account_lease SET run_id = run_id WHERE changed_in > pg_snapshot_xmax(pg_current_snapshot())
"""


class LivingRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is not over and whose lease has not passed. `internal_url` is where other nodes reach it."""

    node: str
    internal_url: str


class LeasePosition(msgspec.Struct, frozen=True, kw_only=True):
    """What a read has seen: all that transactions below `transaction_id` have written. Valid in `session` only.

    `living` are the runs that lived, by run id. The name and the URL of a run never change.
    """

    session: object
    transaction_id: str
    living: Mapping[int, LivingRun]


class LeaseRead(msgspec.Struct, frozen=True, kw_only=True):
    """The leases that have changed, or all if `is_complete`: run ids by account ids. The next read needs `position`.

    `database_seconds` is the clock of the database, in seconds since the epoch.
    """

    runs: Mapping[str, int]
    is_complete: bool
    database_seconds: float
    position: LeasePosition

    @property
    def living(self) -> Mapping[int, LivingRun]:
        """All runs that live, by run id."""
        return self.position.living


def read_leases(
    connection: PostgresConnection, since: LeasePosition | None, *, lease_seconds: float = LEASE_SECONDS
) -> LeaseRead:
    """Return the leases that have changed since a read; all of them without one, or if its session is over.

    Raises BookFailedError.
    """
    session = connection.session
    if since is None or since.session is not session:
        since, is_complete = LeasePosition(session=session, transaction_id="0", living={}), True
    else:
        is_complete = False
    parameters = (since.transaction_id, lease_seconds)
    ((next_id, database_seconds, leases, living_ids),) = connection.execute(_READ, parameters)
    return LeaseRead(
        runs={account_id: int(run_id) for account_id, run_id in leases},
        is_complete=is_complete,
        database_seconds=database_seconds,
        position=LeasePosition(
            session=session,
            transaction_id=next_id,
            living=_living(connection, living_ids, since.living),
        ),
    )


def _living(
    connection: PostgresConnection, run_ids: Sequence[int], known: Mapping[int, LivingRun]
) -> Mapping[int, LivingRun]:
    """Return the runs with these ids. Those that are not known are read."""
    unknown = [run_id for run_id in run_ids if run_id not in known]
    rows = connection.execute(_RUNS, (unknown,)) if unknown else []
    runs = {**known, **{run_id: LivingRun(node=node, internal_url=url) for run_id, node, url in rows}}
    return {run_id: runs[run_id] for run_id in run_ids}


def renumber_leases(connection: PostgresConnection) -> None:
    """Give the leases that another database server has written a transaction id of this one. Raises BookFailedError."""
    connection.execute(_RENUMBER)
