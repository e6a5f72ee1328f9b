"""How many requests and long responses there may be at once: in total, of one account, and with one key."""

from collections import Counter

from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import ApiCaller

_ACCOUNT_SHARE = 0.75
_KEY_SHARE = 0.5
_RETRY_LATER = ((b"retry-after", b"5"),)


class ReaderPlaces:
    """Counts what is open. One account may have three quarters of all places, and one key half of them."""

    def __init__(self, limit: int, *, counted: str = "open streams") -> None:
        """`counted` is what messages call those that take a place."""
        self._counted = counted
        self._limit = limit
        self._account_limit = max(int(limit * _ACCOUNT_SHARE), 1)
        self._key_limit = max(int(limit * _KEY_SHARE), 1)
        self.taken = 0
        self._by_account: Counter[str] = Counter()
        self._by_key: Counter[str] = Counter()

    def take(self, caller: ApiCaller) -> "ReaderPlace":
        """Take a place, which must be given back. Raises ApiRefusedError 429 or 503 without one."""
        account, key = caller.account_id, f"{caller.account_id}/{caller.name}"
        if self._by_key[key] >= self._key_limit:
            raise _refused(429, f"this key has {self._key_limit} {self._counted}, which is the maximum")
        if self._by_account[account] >= self._account_limit:
            raise _refused(429, f"this account has {self._account_limit} {self._counted}, which is the maximum")
        if self.taken >= self._limit:
            raise _refused(503, f"the server has {self._limit} {self._counted}, which is the maximum")
        self.change(account, key, 1)
        return ReaderPlace(self, account, key)

    def change(self, account: str, key: str, difference: int) -> None:
        """Count places that are taken, or given back."""
        self.taken += difference
        for counter, counted in ((self._by_account, account), (self._by_key, key)):
            counter[counted] += difference
            if not counter[counted]:
                del counter[counted]


class ReaderPlace:
    """A place that is taken until `give_back` is called, which may be called once."""

    __slots__ = ("_account", "_key", "_places")

    def __init__(self, places: ReaderPlaces, account: str, key: str) -> None:
        self._places = places
        self._account = account
        self._key = key

    def give_back(self) -> None:
        """Let another reader have the place."""
        self._places.change(self._account, self._key, -1)


def _refused(status: int, detail: str) -> ApiRefusedError:
    code = ApiProblemCode.TOO_MANY_REQUESTS if status == 429 else ApiProblemCode.BUSY
    return ApiRefusedError(status=status, code=code, detail=detail, headers=_RETRY_LATER)
