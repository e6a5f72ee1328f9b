"""How many refusals of encoders are recorded: some a minute for each configuration and error code."""

from stagebook.manager.participants.encoder_rate_limit import (
    MINUTE_MS,
    RECORDED_PER_MINUTE,
    TIDY_ABOVE,
    EncoderRateLimit,
)
from stagebook.stage.events import ErrorCode

WRONG_KEY, WRONG_PROTOCOL = ErrorCode.INVALID_STREAM_KEY, ErrorCode.INVALID_PROTOCOL


def recorded(limit: EncoderRateLimit, number: int, *, arn: str = "one", now_ms: int = 0) -> int:
    """How many of a number of refusals may be recorded."""
    return sum(limit.take(arn, WRONG_KEY, now_ms=now_ms) for _ in range(number))


def test_the_first_refusals_of_a_minute_are_recorded() -> None:
    limit = EncoderRateLimit()

    assert recorded(limit, RECORDED_PER_MINUTE + 5) == RECORDED_PER_MINUTE
    assert recorded(limit, 1, now_ms=MINUTE_MS - 1) == 0


def test_a_minute_begins_with_its_first_refusal() -> None:
    limit = EncoderRateLimit()
    recorded(limit, RECORDED_PER_MINUTE, now_ms=59_000)

    assert recorded(limit, 5, now_ms=60_000) == 0
    assert recorded(limit, RECORDED_PER_MINUTE + 5, now_ms=59_000 + MINUTE_MS) == RECORDED_PER_MINUTE


def test_configurations_and_error_codes_are_counted_separately() -> None:
    limit = EncoderRateLimit()
    recorded(limit, RECORDED_PER_MINUTE)

    assert limit.take("two", WRONG_KEY, now_ms=0)
    assert limit.take("one", WRONG_PROTOCOL, now_ms=0)
    assert not limit.take("one", WRONG_KEY, now_ms=0)


def test_counters_of_past_minutes_are_removed() -> None:
    limit = EncoderRateLimit()
    for number in range(TIDY_ABOVE + 2):
        assert limit.take(f"arn-{number}", WRONG_KEY, now_ms=number)

    assert limit.take("arn-0", WRONG_KEY, now_ms=MINUTE_MS + TIDY_ABOVE + 2)

    assert len(limit._minutes) == 1


def test_counters_of_the_present_minute_are_kept_when_others_are_removed() -> None:
    limit = EncoderRateLimit()
    recorded(limit, RECORDED_PER_MINUTE, arn="busy", now_ms=MINUTE_MS)
    for number in range(TIDY_ABOVE + 2):
        limit.take(f"arn-{number}", WRONG_KEY, now_ms=0)

    assert not limit.take("busy", WRONG_KEY, now_ms=MINUTE_MS + 1)
