"""The budget and the pace of calls: at most so many in one run, and no faster than the service allows.

AWS's call rates are quotas of one account and operation ("Service quotas" in the user guide). The pace keeps half of
each, because other programs may use the account.
"""

from collections.abc import Callable, Mapping

from stagebook.stage.limits import STRICT

TAG_OPERATIONS = ("ListTagsForResource", "TagResource", "UntagResource")
PUBLIC_KEY_OPERATIONS = ("DeletePublicKey", "GetPublicKey", "ImportPublicKey", "ListPublicKeys")
AWS_SHARE = 0.5
"""The part of AWS's rates that a run uses."""


class BudgetSpentError(Exception):
    """The run has made all the calls that it may make."""


def aws_rates(share: float = AWS_SHARE) -> Mapping[str, float]:
    """Return the calls per second by operation; the empty name is for all others."""
    rates = {
        "": STRICT.calls_per_second,
        "CreateParticipantToken": STRICT.token_calls_per_second,
        **dict.fromkeys(TAG_OPERATIONS, STRICT.tag_calls_per_second),
        **dict.fromkeys(PUBLIC_KEY_OPERATIONS, STRICT.public_key_calls_per_second),
    }
    return {operation: rate * share for operation, rate in rates.items() if rate is not None}


class CallPace:
    """Counts the calls of a run and delays each until its time has come.

    `rate` is for all calls together, `rates` for each operation, both in calls per second. `monotonic` returns the
    seconds of a clock that never goes back, and `sleep` waits for some.
    """

    def __init__(
        self,
        *,
        max_calls: int,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
        rate: float | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        self.calls = 0
        self._max_calls = max_calls
        self._monotonic = monotonic
        self._sleep = sleep
        self._rate = rate
        self._rates = rates or {}
        self._next_seconds: dict[str, float] = {}

    def take(self, operation: str) -> None:
        """Count one call and wait for its time. Raises BudgetSpentError when the budget is spent."""
        if self.calls >= self._max_calls:
            raise BudgetSpentError
        self.wait(operation)
        self.calls += 1

    def wait(self, operation: str) -> None:
        """Wait for the time of a call that the budget does not count."""
        if self._rate:
            self._wait_for("", self._rate)
        rate = self._rates.get(operation, self._rates.get(""))
        if rate:
            self._wait_for(f"operation {operation}", rate)

    def pause(self, seconds: float) -> None:
        """Wait before a call that was throttled is repeated, or before something is looked at again."""
        self._sleep(seconds)

    def _wait_for(self, name: str, rate: float) -> None:
        now = self._monotonic()
        at = max(now, self._next_seconds.get(name, now))
        self._next_seconds[name] = at + 1 / rate
        if at > now:
            self._sleep(at - now)
