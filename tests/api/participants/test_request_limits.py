"""The meters that hold rates."""

from stagebook.api.participants.problem_responses import RequestRefusedError
from stagebook.api.participants.request_limits import AttemptMeters, Meter, RequestLimits
from stagebook.stage.claims import Claims


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_meter_allows_its_burst_then_its_rate() -> None:
    clock = Clock()
    meter = Meter(burst=3, per_second=2.0, monotonic=clock)
    assert [meter.take() for _ in range(4)] == [True, True, True, False]
    clock.seconds += 0.5
    assert [meter.take(), meter.take()] == [True, False]


def test_rest_does_not_save_up_more_than_the_burst() -> None:
    clock = Clock()
    meter = Meter(burst=2, per_second=100.0, monotonic=clock)
    clock.seconds += 3_600
    assert [meter.take() for _ in range(3)] == [True, True, False]


class Attempts:
    """Meters whose answers are booleans."""

    def __init__(self, limits: RequestLimits) -> None:
        self._meters = AttemptMeters(limits=limits, monotonic=Clock())

    def take(self, participant_id: str, *, stage: str = "s") -> bool:
        claims = Claims(participant_id=participant_id, stage_arn=stage, capabilities=frozenset(), expires_at_seconds=1)
        try:
            self._meters.require(claims)
        except RequestRefusedError:
            return False
        return True


def test_participants_are_metered_apart() -> None:
    attempts = Attempts(RequestLimits(attempts_burst=1))
    takes = [attempts.take(name, stage=stage) for stage, name in [("s1", "p"), ("s1", "p"), ("s1", "q"), ("s2", "p")]]
    assert takes == [True, False, True, True]


def test_the_number_of_meters_is_bounded_and_the_longest_unused_goes_first() -> None:
    attempts = Attempts(RequestLimits(attempts_burst=1, metered_participants=2))
    assert [attempts.take(name) for name in "abaca"] == [True, True, False, True, False]
    assert attempts.take("b")
