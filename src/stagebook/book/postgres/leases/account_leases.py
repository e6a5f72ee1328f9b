"""The leases of accounts: which run owns each account, and how another run takes one.

An account has one owner at a time, because its lease names one run, and a run that has lost it cannot write
(`node_run.py`). An owner keeps its accounts until its run is over. `take_account` is one transaction, see
`account_functions.py`; of several takers one succeeds.

`list_accounts` and `count_accounts` are for people; nodes read the leases by `lease_reads.py`.

Each change of an owner is sent on the channel of LeaseChanges, so that directories need not wait for their next look.
"""

from enum import StrEnum
from typing import Final

import msgspec

from stagebook.book.postgres.leases.node_run import LEASE_SECONDS
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import LockTimeoutError

_CHANNEL: Final = "stagebook_account_lease"
_TAKE: Final = "SELECT is_taken, account_sequence, former_run FROM account_take_1(%s, %s, %s::double precision)"
_IS_OVER: Final = """
(node_run.fenced_at IS NOT NULL OR node_run.ended_at IS NOT NULL
    OR node_run.heartbeat_at < clock_timestamp() - %s::double precision * interval '1 second')
"""
# Of an account whose run is over, nobody has looked yet, or no node runs: who gets a request for it takes it.
_STATE: Final = """
CASE WHEN node_run.run_id IS NULL OR node_run.ended_at IS NOT NULL AND node_run.fenced_at IS NULL THEN 'FREE'
    WHEN node_run.fenced_at IS NOT NULL
        OR node_run.heartbeat_at < clock_timestamp() - %s::double precision * interval '1 second' THEN 'ABANDONED'
    ELSE 'OWNED' END
"""
_LIST_STATES: Final = f"""
SELECT account_id, {_STATE} AS state, coalesce(node, ''), account_lease.run_id,
    (extract(epoch FROM taken_at) * 1000)::bigint
FROM account_lease LEFT JOIN node_run USING (run_id)
WHERE account_id > %s AND (%s::text IS NULL OR account_id = %s) ORDER BY account_id LIMIT %s
"""  # noqa: S608 - a constant
_COUNT_STATES: Final = f"""
SELECT {_STATE} AS state, count(*) FROM account_lease LEFT JOIN node_run USING (run_id) GROUP BY 1
"""  # noqa: S608 - a constant
# Only of a run that may be fenced: its session holds the lock for which the taker waits.
_END_SESSION: Final = f"""
SELECT pg_terminate_backend(backend_pid) FROM account_lease JOIN node_run USING (run_id)
WHERE account_id = %s AND {_IS_OVER}
"""  # noqa: S608 - a constant


class AccountState(StrEnum):
    """Whether an account is served. FREE: the node that gets a request for it takes it; its last run has ended.

    ABANDONED: its run is late or was fenced, and no node has taken the account yet.
    """

    OWNED = "OWNED"
    FREE = "FREE"
    ABANDONED = "ABANDONED"


class ListedAccount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An account with its present or last run: `run_id` is None, and `node` empty, if that is not known any more."""

    account_id: str
    state: AccountState
    node: str
    run_id: int | None
    taken_ms: int


class AccountTaking(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt to take an account.

    `last_sequence` is at least the newest sequence number of the account: the taker gives larger ones. `former_run` had
    the account before, None if it was free; its keys must not be continued.
    """

    is_taken: bool
    last_sequence: int
    former_run: int | None


def take_account(
    connection: PostgresConnection, account_id: str, *, run_id: int, lease_seconds: float = LEASE_SECONDS
) -> AccountTaking:
    """Take an account that is free, or whose run is over or has let its lease pass. The latter is fenced.

    An account that this run has is taken, with this run as the former one. Raises RunFencedError if this run is over,
    and BookFailedError.
    """
    parameters = (account_id, run_id, lease_seconds)
    try:
        rows = connection.execute(_TAKE, parameters)
    except LockTimeoutError:
        # A session that was stopped within a transaction holds the row of the former run.
        connection.execute(_END_SESSION, (account_id, lease_seconds))
        rows = connection.execute(_TAKE, parameters)
    ((is_taken, last_sequence, former_run),) = rows
    return AccountTaking(is_taken=is_taken, last_sequence=last_sequence, former_run=former_run)


def list_accounts(
    connection: PostgresConnection,
    *,
    limit: int,
    account_id: str | None = None,
    after: str = "",
    lease_seconds: float = LEASE_SECONDS,
) -> list[ListedAccount]:
    """Return accounts that have ever had an owner, by their ids, those above `after`; only `account_id` if given."""
    parameters = (lease_seconds, after, account_id, account_id, limit)
    return [
        ListedAccount(account_id=found, state=AccountState(state), node=node, run_id=run_id, taken_ms=taken_ms)
        for found, state, node, run_id, taken_ms in connection.execute(_LIST_STATES, parameters)
    ]


def count_accounts(connection: PostgresConnection, *, lease_seconds: float = LEASE_SECONDS) -> dict[AccountState, int]:
    """Return how many accounts are in each state."""
    counts = dict.fromkeys(AccountState, 0)
    return counts | {AccountState(state): count for state, count in connection.execute(_COUNT_STATES, (lease_seconds,))}


class LeaseChanges:
    """Waits until an account gets another owner. The connection must have no other use."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._listening: object = None
        """The session that listens. After an outage it is another one."""

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for a change; return whether there was one, or may have been one while nobody listened.

        Raises BookUnreachableError.
        """
        session = self._connection.session
        if session is not self._listening:
            self._connection.execute(f"LISTEN {_CHANNEL}")
            self._listening = session
            return True
        return bool(self._connection.wait_notifications(timeout_seconds))
