"""A queue that serves accounts in turn, so that one with many or slow entries does not delay the others.

Each account has the same share: the next entry is that of the account that has waited longest for its turn. An account
may have a limited number of entries in work, and of entries that wait. The work of each call is constant.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from stagebook.stage.errors import ServerBusyError

Entry = TypeVar("Entry")


class _Account(Generic[Entry]):
    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[Entry] = deque()


class AccountQueue(Generic[Entry]):
    """Entries by account. An account is known while it has one that waits or is in work."""

    def __init__(self, *, running_per_account: int, waiting_per_account: int, waiting: int) -> None:
        """At most `waiting` entries wait at the same time."""
        self._running_per_account = running_per_account
        self._waiting_per_account = waiting_per_account
        self._limit = waiting
        self._accounts: dict[str, _Account[Entry]] = {}
        self._ready: dict[str, None] = {}
        """The accounts of which an entry may be taken, in the order of their turns."""
        self._waiting = 0

    def __len__(self) -> int:
        """Return the number of entries that wait."""
        return self._waiting

    def put(self, account_id: str, entry: Entry) -> None:
        """Let an entry wait. Raises ServerBusyError if too many of its account wait, or of all accounts."""
        account = self._accounts.get(account_id)
        if account is not None and len(account.waiting) >= self._waiting_per_account:
            raise ServerBusyError("too many reads of this account are waiting: try again")
        if self._waiting >= self._limit:
            raise ServerBusyError("too many reads are waiting: try again")
        if account is None:
            account = self._accounts[account_id] = _Account()
        account.waiting.append(entry)
        self._waiting += 1
        self._update(account_id, account)

    def take(self) -> tuple[str, Entry] | None:
        """Return the next entry with its account, None if none may be taken. It is in work until `finish`."""
        account_id = next(iter(self._ready), None)
        if account_id is None:
            return None
        account = self._accounts[account_id]
        del self._ready[account_id]  # Its next turn is after those of the others.
        entry = account.waiting.popleft()
        self._waiting -= 1
        account.running += 1
        self._update(account_id, account)
        return account_id, entry

    def finish(self, account_id: str) -> None:
        """An entry of an account is not in work any more."""
        account = self._accounts[account_id]
        account.running -= 1
        self._update(account_id, account)

    def remove(self, account_id: str, entry: Entry) -> None:
        """Forget an entry if it waits."""
        account = self._accounts.get(account_id)
        if account is not None:
            with suppress(ValueError):
                account.waiting.remove(entry)
                self._waiting -= 1
            self._update(account_id, account)

    def drain(self) -> Iterator[Entry]:
        """Forget all entries that wait, and yield them."""
        for account_id, account in tuple(self._accounts.items()):
            waiting, account.waiting = account.waiting, deque()
            self._waiting -= len(waiting)
            self._update(account_id, account)
            yield from waiting

    def _update(self, account_id: str, account: _Account[Entry]) -> None:
        """Note whether an entry of the account may be taken, and forget an account without entries."""
        if account.waiting and account.running < self._running_per_account:
            self._ready.setdefault(account_id)
        else:
            self._ready.pop(account_id, None)
        if not account.waiting and not account.running:
            del self._accounts[account_id]
