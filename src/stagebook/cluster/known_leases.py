"""The owners of all accounts, as the reads of a node have found them one after the other.

Each read brings what has changed (`lease_reads`). What is derived from the leases is computed again only if a lease has
changed, or a run has begun or ended.
"""

from collections.abc import Collection, Mapping
from typing import Final

from stagebook.book.postgres.leases.lease_reads import LeasePosition, LeaseRead, LivingRun
from stagebook.cluster.account_owner import AccountOwner

_NOTHING: Final = frozenset[str]()


class KnownLeases:
    """The leases at the newest read. `position` is where the next read begins, None before the first one."""

    def __init__(self) -> None:
        self.position: LeasePosition | None = None
        self.owners: Mapping[str, AccountOwner | None] = {}
        """Each account that has ever had an owner, with its owner; None if that run does not live.

        The mapping never changes. It is replaced by another one when an owner has changed."""
        self._runs: dict[str, int] = {}
        self._living: Mapping[int, LivingRun] = {}
        self._accounts: dict[int, set[str]] = {}
        """The accounts of each run."""

    def apply(self, read: LeaseRead) -> None:
        """Note a read that began at `position`, or at an earlier one."""
        self.position = read.position
        changed = {account: run for account, run in read.runs.items() if self._runs.get(account) != run}
        is_smaller = read.is_complete and len(read.runs) < len(self._runs)
        if not changed and not is_smaller and read.living == self._living:
            return
        if read.is_complete:
            self._runs, self._accounts = {}, {}
            changed = dict(read.runs)
        for account_id, run_id in changed.items():
            former = self._accounts.get(self._runs.get(account_id, run_id))
            if former is not None:
                former.discard(account_id)
            self._accounts.setdefault(run_id, set()).add(account_id)
        self._runs.update(changed)
        self._accounts = {run_id: accounts for run_id, accounts in self._accounts.items() if accounts}
        self._living = read.living
        found = {run_id: _owner(run_id, read.living.get(run_id)) for run_id in self._accounts}
        self.owners = {account_id: found[run_id] for account_id, run_id in self._runs.items()}

    def abandoned(self, *, run_id: int, held: Collection[str]) -> tuple[str, ...]:
        """Return the accounts whose runs do not live, and those of run `run_id` that are not in `held`.

        The latter run does not know that it has them: the answer to its taking may have been lost.
        """
        dead = [accounts for run, accounts in self._accounts.items() if run not in self._living and run != run_id]
        own = self._accounts.get(run_id, _NOTHING)
        return tuple(sorted(set(own).difference(held).union(*dead)))


def _owner(run_id: int, run: LivingRun | None) -> AccountOwner | None:
    return None if run is None else AccountOwner(node=run.node, run_id=run_id, internal_url=run.internal_url)
