"""What the forwarding of requests needs to know of accounts and their owners: two ports, which the store implements.

An account is owned by one run of one node at a time. The lease of an account is in the database; `AccountDirectory`
reads all of them, and `LocalAccounts` is what this node's own run holds and may take.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class AccountOwner(msgspec.Struct, frozen=True, kw_only=True):
    """The run of a node that owns an account. `internal_url` is the base URL of its internal server."""

    node: str
    run_id: int
    internal_url: str


class AccountDirectory(Protocol):
    """Reads the leases of accounts."""

    async def owners(self) -> Mapping[str, AccountOwner | None]:
        """Return every account that has ever had an owner, with its owner; None if that run is not alive.

        The same mapping is returned again while nothing has changed: a caller need not look at all accounts then.
        May raise any exception while the database cannot be reached.
        """


class LocalAccounts(Protocol):
    """The accounts of this node's run."""

    @property
    def run_id(self) -> int:
        """The id of this run, different for every life of every node."""

    def owns(self, account_id: str) -> bool:
        """Return whether this run owns an account, has loaded it, and its lease has not passed."""

    async def acquire(self, account_id: str) -> bool:
        """Take an account that has no owner, load it, and end what its former owner left open.

        Return whether this run owns it: False if another run took it first, or none may take it yet. After an outage of
        the database all runs look dead for a moment, so nothing is taken for one lease. Concurrent calls for one
        account are allowed.
        """
