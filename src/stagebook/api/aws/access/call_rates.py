"""How often an account may call an operation: AWS's rates per second, as ThrottlingException, which SDKs retry.

A generic cell rate algorithm for each account and operation: one number remembers when the next call conforms. Up to
one second's calls may come at once. Memory is bounded by the accounts of known access keys times the operations of
the model, as only authenticated requests are counted. Source: "Service quotas" of the IVS Real-Time user guide, and
ThrottlingException on the Common Errors page of the API reference.
"""

from collections.abc import Callable, Mapping

from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.stage.limits import Limits

_SECOND_NS = 1_000_000_000

_TAG_OPERATIONS = ("ListTagsForResource", "TagResource", "UntagResource")
_PUBLIC_KEY_OPERATIONS = ("DeletePublicKey", "GetPublicKey", "ImportPublicKey", "ListPublicKeys")


class Throttle:
    """Lets calls through at their rates. `monotonic_ns` is a clock that never goes back.

    RevokeConnectionToken, which the quotas page does not list, has the rate of all others.
    """

    def __init__(self, limits: Limits, *, monotonic_ns: Callable[[], int]) -> None:
        self._rate = limits.calls_per_second
        self._own_rates: Mapping[str, int | None] = {
            "CreateParticipantToken": limits.token_calls_per_second,
            **dict.fromkeys(_TAG_OPERATIONS, limits.tag_calls_per_second),
            **dict.fromkeys(_PUBLIC_KEY_OPERATIONS, limits.public_key_calls_per_second),
        }
        self._monotonic_ns = monotonic_ns
        self._conforming_ns: dict[tuple[str, str], int] = {}

    def take(self, operation_name: str, account_id: str) -> None:
        """Count one call; raise AwsError Throttling when it comes too soon. A refused call counts for nothing."""
        rate = self._own_rates.get(operation_name, self._rate)
        if rate is None:
            return
        interval_ns = _SECOND_NS // rate
        now_ns = self._monotonic_ns()
        conforming_ns = max(now_ns, self._conforming_ns.get((account_id, operation_name), now_ns))
        if conforming_ns - now_ns > (rate - 1) * interval_ns:
            raise AwsError(ErrorType.THROTTLING, "Rate exceeded")
        self._conforming_ns[account_id, operation_name] = conforming_ns + interval_ns
