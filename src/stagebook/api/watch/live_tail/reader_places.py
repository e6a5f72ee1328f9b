"""How many readers the live tail has: in total, of one account, and with one key."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from stagebook.api.watch.watch_problems import WatchProblemCode, WatchRefusedError
from stagebook.api.watch.watch_route import Watcher

_ACCOUNT_SHARE = 0.75
_KEY_SHARE = 0.5
_RETRY_LATER = ((b"retry-after", b"5"),)


class ReaderPlaces:
    """Counts readers. One account may have three quarters of all places, and one key half of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._account_limit = max(int(limit * _ACCOUNT_SHARE), 1)
        self._key_limit = max(int(limit * _KEY_SHARE), 1)
        self.taken = 0
        self._by_account: Counter[str] = Counter()
        self._by_key: Counter[str] = Counter()

    @contextmanager
    def place(self, watcher: Watcher) -> Iterator[None]:
        """Take a place until the context is left. Raises WatchRefusedError 429 or 503 without one."""
        account, key = watcher.account_id, f"{watcher.account_id}/{watcher.name}"
        if self._by_key[key] >= self._key_limit:
            raise _refused(429, f"this key has {self._key_limit} open streams, which is the maximum")
        if self._by_account[account] >= self._account_limit:
            raise _refused(429, f"this account has {self._account_limit} open streams, which is the maximum")
        if self.taken >= self._limit:
            raise _refused(503, f"the server has {self._limit} open streams, which is the maximum")
        self._change(account, key, 1)
        try:
            yield
        finally:
            self._change(account, key, -1)

    def _change(self, account: str, key: str, difference: int) -> None:
        self.taken += difference
        for counter, counted in ((self._by_account, account), (self._by_key, key)):
            counter[counted] += difference
            if not counter[counted]:
                del counter[counted]


def _refused(status: int, detail: str) -> WatchRefusedError:
    code = WatchProblemCode.TOO_MANY_REQUESTS if status == 429 else WatchProblemCode.BUSY
    return WatchRefusedError(status=status, code=code, detail=detail, headers=_RETRY_LATER)
