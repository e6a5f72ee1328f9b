"""Call rates: a second's calls at once, then one for each interval, for each account and operation by itself."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.aws.access.call_rates import Throttle
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.stage.limits import RELAXED, STRICT
from tests.api.aws.harness import ACCOUNT, GET_STAGE, ask, credential, new_door, signed_call, unsigned
from tests.api.aws.rules import OPERATIONS

SECOND_NS = 1_000_000_000
OTHER_ACCOUNT = "210987654321"
DOCUMENTED = {
    "CreateParticipantToken": 50,
    **dict.fromkeys(("ListTagsForResource", "TagResource", "UntagResource"), 10),
    **dict.fromkeys(("DeletePublicKey", "GetPublicKey", "ImportPublicKey", "ListPublicKeys"), 3),
}
"""The quotas page of the user guide; 5 for all others."""


class HandTimer:
    """A monotonic clock that a test moves; it starts anywhere, as real ones do."""

    def __init__(self) -> None:
        self.time_ns = 987_654_321_123_456_789

    def __call__(self) -> int:
        return self.time_ns


class Caller:
    """Calls one throttle and counts what comes through."""

    def __init__(self, **limits: int | None) -> None:
        self.timer = HandTimer()
        self.throttle = Throttle(msgspec.structs.replace(STRICT, **limits), monotonic_ns=self.timer)

    def passes(self, operation: str = "GetStage", account_id: str = ACCOUNT) -> bool:
        try:
            self.throttle.take(operation, account_id)
        except AwsError as error:
            if error.error_type is not ErrorType.THROTTLING:
                raise
            return False
        return True

    def burst(self, operation: str = "GetStage", account_id: str = ACCOUNT) -> int:
        """How many calls come through at this moment."""
        return sum(self.passes(operation, account_id) for _ in range(100))


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_strict_has_the_documented_rate_of_every_operation(operation: str) -> None:
    assert Caller().burst(operation) == DOCUMENTED.get(operation, 5)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_relaxed_has_none(operation: str) -> None:
    throttle = Throttle(RELAXED, monotonic_ns=HandTimer())
    for _ in range(1_000):
        throttle.take(operation, ACCOUNT)


def test_one_call_comes_back_with_every_interval() -> None:
    caller = Caller()
    assert caller.burst() == 5
    for _ in range(20):
        caller.timer.time_ns += SECOND_NS // 5 - 1
        assert not caller.passes()
        caller.timer.time_ns += 1
        assert caller.burst() == 1


def test_after_a_quiet_second_the_whole_burst_is_back_and_never_more() -> None:
    caller = Caller()
    assert caller.burst() == 5
    caller.timer.time_ns += 1_000 * SECOND_NS
    assert caller.burst() == 5


def test_refused_calls_do_not_put_the_next_one_off() -> None:
    caller = Caller(calls_per_second=1)
    assert caller.passes()
    for _ in range(10):
        caller.timer.time_ns += SECOND_NS // 10 - 1
        assert not caller.passes()
    caller.timer.time_ns += 10
    assert caller.passes()


def test_operations_and_accounts_do_not_count_for_each_other() -> None:
    caller = Caller()
    for operation in ("GetStage", "ListStages"):
        for account_id in (ACCOUNT, OTHER_ACCOUNT):
            assert caller.burst(operation, account_id) == 5


@given(
    rate=st.integers(1, 60),
    steps=st.lists(st.integers(0, 2 * SECOND_NS), max_size=60),
)
def test_no_stretch_of_time_has_more_than_its_calls_and_one_burst(rate: int, steps: list[int]) -> None:
    caller = Caller(calls_per_second=rate)
    start_ns = caller.timer.time_ns
    passed = 0
    for step_ns in steps:
        caller.timer.time_ns += step_ns
        passed += caller.passes()
        interval_ns = SECOND_NS // rate
        assert passed <= rate + (caller.timer.time_ns - start_ns) // interval_ns


async def test_the_door_refuses_and_names_it() -> None:
    timer = HandTimer()
    door = new_door(throttle=Throttle(STRICT, monotonic_ns=timer))
    assert [(await ask(door, GET_STAGE)).status for _ in range(6)] == [200] * 5 + [400]
    refused = await ask(door, GET_STAGE)
    assert (refused.error, refused.message) == ("ThrottlingException", "Rate exceeded")
    timer.time_ns += SECOND_NS
    assert (await ask(door, GET_STAGE)).status == 200


async def test_only_who_is_known_is_counted() -> None:
    door = new_door(throttle=Throttle(STRICT, monotonic_ns=HandTimer()))
    for _ in range(20):
        assert (await ask(door, unsigned("/GetStage", body=b"{}"))).status == 403
        assert (await ask(door, signed_call("GetStage", {}, secret="wrong"))).status == 403
    assert (await ask(door, GET_STAGE)).status == 200


async def test_calls_with_a_broken_input_count() -> None:
    door = new_door(throttle=Throttle(STRICT, monotonic_ns=HandTimer()))
    errors = [(await ask(door, signed_call("GetStage", {}))).error for _ in range(6)]
    assert errors == ["ValidationException"] * 5 + ["ThrottlingException"]


async def test_the_keys_of_one_account_share_its_rate() -> None:
    keys = [credential(), credential(key_id="AKIDSECOND"), credential(key_id="AKIDOTHER", account_id=OTHER_ACCOUNT)]
    door = new_door(throttle=Throttle(STRICT, monotonic_ns=HandTimer()), credentials=keys)
    for _ in range(5):
        await ask(door, GET_STAGE)
    assert (await ask(door, signed_call("GetStage", {}, key_id="AKIDSECOND"))).error == "ThrottlingException"
    assert (await ask(door, signed_call("GetStage", {}, key_id="AKIDOTHER"))).error == "ValidationException"
