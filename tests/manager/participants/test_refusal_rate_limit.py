"""How many refusals of encoders are recorded: some a minute for each configuration and error code."""

from stagebook.manager.participants.refusal_rate_limit import (
    MINUTE_MS,
    RECORDED_PER_MINUTE,
    TIDY_ABOVE,
    RefusalRateLimit,
)
from stagebook.stage.events import ErrorCode

WRONG_KEY, WRONG_PROTOCOL = ErrorCode.INVALID_STREAM_KEY, ErrorCode.INVALID_PROTOCOL


def recorded(limit: RefusalRateLimit, number: int, *, arn: str = "one", now_ms: int = 0) -> int:
    """How many of a number of refusals may be recorded."""
    return sum(limit.may_record(arn, WRONG_KEY, now_ms=now_ms) for _ in range(number))


def test_the_first_refusals_of_a_minute_are_recorded() -> None:
    limit = RefusalRateLimit()

    assert recorded(limit, RECORDED_PER_MINUTE + 5) == RECORDED_PER_MINUTE
    assert recorded(limit, 1, now_ms=MINUTE_MS - 1) == 0


def test_a_minute_begins_with_its_first_refusal() -> None:
    limit = RefusalRateLimit()
    recorded(limit, RECORDED_PER_MINUTE, now_ms=59_000)

    assert recorded(limit, 5, now_ms=60_000) == 0
    assert recorded(limit, RECORDED_PER_MINUTE + 5, now_ms=59_000 + MINUTE_MS) == RECORDED_PER_MINUTE


def test_configurations_and_error_codes_are_counted_separately() -> None:
    limit = RefusalRateLimit()
    recorded(limit, RECORDED_PER_MINUTE)

    assert limit.may_record("two", WRONG_KEY, now_ms=0)
    assert limit.may_record("one", WRONG_PROTOCOL, now_ms=0)
    assert not limit.may_record("one", WRONG_KEY, now_ms=0)


def test_counters_of_past_minutes_are_removed() -> None:
    limit = RefusalRateLimit()
    for number in range(TIDY_ABOVE + 2):
        assert limit.may_record(f"arn-{number}", WRONG_KEY, now_ms=number)

    assert limit.may_record("arn-0", WRONG_KEY, now_ms=MINUTE_MS + TIDY_ABOVE + 2)

    assert len(limit._minutes) == 1


def test_counters_of_the_present_minute_are_kept_when_others_are_removed() -> None:
    limit = RefusalRateLimit()
    recorded(limit, RECORDED_PER_MINUTE, arn="busy", now_ms=MINUTE_MS)
    for number in range(TIDY_ABOVE + 2):
        limit.may_record(f"arn-{number}", WRONG_KEY, now_ms=0)

    assert not limit.may_record("busy", WRONG_KEY, now_ms=MINUTE_MS + 1)
