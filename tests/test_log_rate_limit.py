"""Log lines are limited per cause, and those that are not written are counted."""

from stagebook.log_rate_limit import MAX_LINES, WINDOW_SECONDS, LogRateLimit


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_few_lines_are_written_without_a_count() -> None:
    limit = LogRateLimit(clock=Clock())
    assert [limit.admit("cause") for _ in range(MAX_LINES)] == MAX_LINES * [{}]


def test_further_lines_are_suppressed_and_counted_with_the_next_line() -> None:
    clock = Clock()
    limit = LogRateLimit(clock=clock)
    written = [limit.admit("cause") for _ in range(10_000)]
    assert sum(line is not None for line in written) == MAX_LINES
    clock.now += WINDOW_SECONDS
    assert limit.admit("cause") == {"suppressed": 10_000 - MAX_LINES}
    assert limit.admit("cause") == {}


def test_each_cause_has_a_limit_of_its_own() -> None:
    limit = LogRateLimit(clock=Clock())
    for _ in range(MAX_LINES + 1):
        limit.admit("one")
    assert limit.admit("one") is None
    assert limit.admit("another") == {}
