"""The budget and the pace of calls, on a clock that only sleeping moves."""

import pytest

from stagebook.conformance.wire.call_pace import BudgetSpentError, CallPace, aws_rates


class SleepClock:
    """Seconds that pass while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_the_budget_ends_the_calls() -> None:
    clock = SleepClock()
    pace = CallPace(max_calls=2, monotonic=clock.monotonic, sleep=clock.sleep)
    pace.take("GetStage")
    pace.take("GetStage")
    with pytest.raises(BudgetSpentError):
        pace.take("GetStage")
    assert pace.calls == 2
    assert clock.seconds == 0


def test_a_call_beside_the_budget_is_paced_and_not_counted() -> None:
    clock = SleepClock()
    pace = CallPace(max_calls=0, rate=1, monotonic=clock.monotonic, sleep=clock.sleep)
    pace.wait("DeleteStage")
    pace.wait("DeleteStage")
    assert (pace.calls, clock.seconds) == (0, 1.0)


def test_a_rate_holds_for_all_calls_together() -> None:
    clock = SleepClock()
    pace = CallPace(max_calls=10, rate=4, monotonic=clock.monotonic, sleep=clock.sleep)
    for operation in ("GetStage", "ListStages", "GetStage", "ListStages", "GetStage"):
        pace.take(operation)
    assert clock.seconds == 1.0


def test_rates_of_operations_are_independent() -> None:
    clock = SleepClock()
    pace = CallPace(max_calls=10, rates={"": 2, "GetStage": 1}, monotonic=clock.monotonic, sleep=clock.sleep)
    pace.take("GetStage")
    pace.take("ListStages")
    assert clock.seconds == 0
    pace.take("ListStages")
    assert clock.seconds == 0.5
    pace.take("GetStage")
    assert clock.seconds == 1.0


def test_the_rates_of_aws_are_halved() -> None:
    rates = aws_rates()
    assert (rates[""], rates["CreateParticipantToken"], rates["TagResource"]) == (2.5, 25.0, 5.0)
    assert rates["ImportPublicKey"] == 1.5
