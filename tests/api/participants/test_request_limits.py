"""The rate limiters."""

from stagebook.api.participants.problem_responses import RequestRefusedError
from stagebook.api.participants.request_limits import AttemptRateLimiter, RequestLimits
from stagebook.stage.claims import Claims


class ManualClock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Attempts:
    """Wraps the limiter of attempts, so that the result of an attempt is a boolean."""

    def __init__(self, limits: RequestLimits) -> None:
        self._limiter = AttemptRateLimiter(limits=limits, monotonic=ManualClock())

    def allows(self, participant_id: str, *, stage: str = "s") -> bool:
        claims = Claims(participant_id=participant_id, stage_arn=stage, capabilities=frozenset(), expires_at_seconds=1)
        try:
            self._limiter.require(claims)
        except RequestRefusedError:
            return False
        return True


def test_each_participant_of_each_stage_has_its_own_limit() -> None:
    attempts = Attempts(RequestLimits(attempts_burst=1))
    takes = [attempts.allows(name, stage=stage) for stage, name in [("s1", "p"), ("s1", "p"), ("s1", "q"), ("s2", "p")]]
    assert takes == [True, False, True, True]


def test_the_number_of_buckets_is_limited_and_the_least_recently_used_is_dropped() -> None:
    attempts = Attempts(RequestLimits(attempts_burst=1, tracked_participants=2))
    assert [attempts.allows(name) for name in "abaca"] == [True, True, False, True, False]
    assert attempts.allows("b")
