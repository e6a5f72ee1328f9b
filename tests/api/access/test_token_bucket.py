"""The token bucket, and buckets by key."""

from stagebook.api.access.token_bucket import TokenBucket, TokenBuckets


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


def test_each_key_has_a_bucket_and_the_least_recently_used_one_is_dropped() -> None:
    buckets = TokenBuckets(burst=1, per_second=0.0, monotonic=ManualClock(), maximum=2)
    assert [buckets.take("a"), buckets.take("b"), buckets.take("a")] == [True, True, False]
    assert ([buckets.has_unit(key) for key in "abc"], len(buckets)) == ([False, False, True], 2)
    assert buckets.take("c")
    assert ([buckets.has_unit(key) for key in "abc"], len(buckets)) == ([False, True, False], 2)
