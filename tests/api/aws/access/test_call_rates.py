"""The rate limits on calls: the burst, the rate, and the calls that are counted."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.aws.access.call_rates import Throttle
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.stage.limits import RELAXED, STRICT
from tests.api.aws.asgi_harness import ACCOUNT, GET_STAGE, credential, new_api, send_request, signed_call, unsigned
from tests.api.aws.model_rules import OPERATIONS

SECOND_NS = 1_000_000_000
OTHER_ACCOUNT = "210987654321"
DOCUMENTED = {
    "CreateParticipantToken": 50,
    **dict.fromkeys(("ListTagsForResource", "TagResource", "UntagResource"), 10),
    **dict.fromkeys(("DeletePublicKey", "GetPublicKey", "ImportPublicKey", "ListPublicKeys"), 3),
}
"""The calls per second on the quotas page of the user guide; 5 for all other operations."""


class ManualTimer:
    """A monotonic clock that tests advance. Like a real one, it does not start at zero."""

    def __init__(self) -> None:
        self.time_ns = 987_654_321_123_456_789

    def __call__(self) -> int:
        return self.time_ns


class ThrottleHarness:
    """Calls one throttle and counts the calls that it allows."""

    def __init__(self, **limits: int | None) -> None:
        self.timer = ManualTimer()
        self.throttle = Throttle(msgspec.structs.replace(STRICT, **limits), monotonic_ns=self.timer)

    def allows(self, operation: str = "GetStage", account_id: str = ACCOUNT) -> bool:
        try:
            self.throttle.take(operation, account_id)
        except AwsError as error:
            if error.error_type is not ErrorType.THROTTLING:
                raise
            return False
        return True

    def burst(self, operation: str = "GetStage", account_id: str = ACCOUNT) -> int:
        """Return how many calls are allowed at this moment."""
        return sum(self.allows(operation, account_id) for _ in range(100))


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_strict_limits_have_the_documented_rate_of_every_operation(operation: str) -> None:
    assert ThrottleHarness().burst(operation) == DOCUMENTED.get(operation, 5)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_relaxed_limits_have_no_call_rates(operation: str) -> None:
    throttle = Throttle(RELAXED, monotonic_ns=ManualTimer())
    for _ in range(1_000):
        throttle.take(operation, ACCOUNT)


def test_one_call_is_allowed_per_interval() -> None:
    harness = ThrottleHarness()
    assert harness.burst() == 5
    for _ in range(20):
        harness.timer.time_ns += SECOND_NS // 5 - 1
        assert not harness.allows()
        harness.timer.time_ns += 1
        assert harness.burst() == 1


def test_after_an_idle_time_the_burst_is_full_and_no_larger() -> None:
    harness = ThrottleHarness()
    assert harness.burst() == 5
    harness.timer.time_ns += 1_000 * SECOND_NS
    assert harness.burst() == 5


def test_refused_calls_are_not_counted() -> None:
    harness = ThrottleHarness(calls_per_second=1)
    assert harness.allows()
    for _ in range(10):
        harness.timer.time_ns += SECOND_NS // 10 - 1
        assert not harness.allows()
    harness.timer.time_ns += 10
    assert harness.allows()


def test_each_operation_of_each_account_is_counted_separately() -> None:
    harness = ThrottleHarness()
    for operation in ("GetStage", "ListStages"):
        for account_id in (ACCOUNT, OTHER_ACCOUNT):
            assert harness.burst(operation, account_id) == 5


@given(
    rate=st.integers(1, 60),
    steps=st.lists(st.integers(0, 2 * SECOND_NS), max_size=60),
)
def test_no_interval_has_more_calls_than_its_rate_and_one_burst(rate: int, steps: list[int]) -> None:
    harness = ThrottleHarness(calls_per_second=rate)
    start_ns = harness.timer.time_ns
    allowed = 0
    for step_ns in steps:
        harness.timer.time_ns += step_ns
        allowed += harness.allows()
        interval_ns = SECOND_NS // rate
        assert allowed <= rate + (harness.timer.time_ns - start_ns) // interval_ns


async def test_the_api_refuses_calls_above_the_rate() -> None:
    timer = ManualTimer()
    api = new_api(throttle=Throttle(STRICT, monotonic_ns=timer))
    assert [(await send_request(api, GET_STAGE)).status for _ in range(6)] == [200] * 5 + [400]
    refused = await send_request(api, GET_STAGE)
    assert (refused.error, refused.message) == ("ThrottlingException", "Rate exceeded")
    timer.time_ns += SECOND_NS
    assert (await send_request(api, GET_STAGE)).status == 200


async def test_unauthenticated_calls_are_not_counted() -> None:
    api = new_api(throttle=Throttle(STRICT, monotonic_ns=ManualTimer()))
    for _ in range(20):
        assert (await send_request(api, unsigned("/GetStage", body=b"{}"))).status == 403
        assert (await send_request(api, signed_call("GetStage", {}, secret="wrong"))).status == 403
    assert (await send_request(api, GET_STAGE)).status == 200


async def test_calls_with_an_invalid_input_are_counted() -> None:
    api = new_api(throttle=Throttle(STRICT, monotonic_ns=ManualTimer()))
    errors = [(await send_request(api, signed_call("GetStage", {}))).error for _ in range(6)]
    assert errors == ["ValidationException"] * 5 + ["ThrottlingException"]


async def test_the_keys_of_one_account_share_its_rate() -> None:
    keys = [credential(), credential(key_id="AKIDSECOND"), credential(key_id="AKIDOTHER", account_id=OTHER_ACCOUNT)]
    api = new_api(throttle=Throttle(STRICT, monotonic_ns=ManualTimer()), credentials=keys)
    for _ in range(5):
        await send_request(api, GET_STAGE)
    assert (await send_request(api, signed_call("GetStage", {}, key_id="AKIDSECOND"))).error == "ThrottlingException"
    assert (await send_request(api, signed_call("GetStage", {}, key_id="AKIDOTHER"))).error == "ValidationException"
