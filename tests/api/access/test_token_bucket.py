"""The token bucket."""

from stagebook.api.access.token_bucket import TokenBucket


class ManualClock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_bucket_allows_its_burst_and_then_its_rate() -> None:
    clock = ManualClock()
    bucket = TokenBucket(burst=3, per_second=2.0, monotonic=clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.seconds += 0.5
    assert [bucket.take(), bucket.take()] == [True, False]


def test_an_idle_bucket_holds_no_more_than_the_burst() -> None:
    clock = ManualClock()
    bucket = TokenBucket(burst=2, per_second=100.0, monotonic=clock)
    clock.seconds += 3_600
    assert [bucket.take() for _ in range(3)] == [True, True, False]
