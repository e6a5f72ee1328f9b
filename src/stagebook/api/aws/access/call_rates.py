"""The rate limits of AWS on API calls. A call above its rate gets a ThrottlingException, which SDKs retry.

The limiter is a generic cell rate algorithm (GCRA, ITU-T I.371) for each pair of account and operation. It stores one
number: the *theoretical arrival time*, at which the bucket is empty again. Each call adds one interval to it. A call is
refused when the time is more than a second's calls ahead, so a burst of one second's calls is allowed.

Only authenticated calls are counted, so the number of pairs is at most the configured accounts times the operations of
the service model.
Sources: "Service quotas" in the IVS Real-Time user guide; ThrottlingException on the Common Errors page of the API
reference.
"""

from collections.abc import Callable, Mapping

from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.stage.limits import Limits

_SECOND_NS = 1_000_000_000

_TAG_OPERATIONS = ("ListTagsForResource", "TagResource", "UntagResource")
_PUBLIC_KEY_OPERATIONS = ("DeletePublicKey", "GetPublicKey", "ImportPublicKey", "ListPublicKeys")


class Throttle:
    """Enforces the call rates of `limits`. `monotonic_ns` returns nanoseconds of a clock that never goes back.

    RevokeConnectionToken is not on the quotas page and has the rate of all other operations.
    """

    def __init__(self, limits: Limits, *, monotonic_ns: Callable[[], int]) -> None:
        self._default_rate = limits.calls_per_second
        self._rates: Mapping[str, int | None] = {
            "CreateParticipantToken": limits.token_calls_per_second,
            **dict.fromkeys(_TAG_OPERATIONS, limits.tag_calls_per_second),
            **dict.fromkeys(_PUBLIC_KEY_OPERATIONS, limits.public_key_calls_per_second),
        }
        self._monotonic_ns = monotonic_ns
        self._arrival_ns: dict[tuple[str, str], int] = {}

    def take(self, operation_name: str, account_id: str) -> None:
        """Count one call; raise AwsError Throttling when it is above the rate. A refused call is not counted."""
        rate = self._rates.get(operation_name, self._default_rate)
        if rate is None:
            return
        interval_ns = _SECOND_NS // rate
        now_ns = self._monotonic_ns()
        arrival_ns = max(now_ns, self._arrival_ns.get((account_id, operation_name), now_ns))
        if arrival_ns - now_ns > (rate - 1) * interval_ns:
            raise rate_exceeded()
        self._arrival_ns[account_id, operation_name] = arrival_ns + interval_ns


def rate_exceeded() -> AwsError:
    """Return the error of a call above its rate."""
    return AwsError(ErrorType.THROTTLING, "Rate exceeded")
