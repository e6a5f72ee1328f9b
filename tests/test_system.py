"""The real clock and randomness."""

import time

from stagebook.system import SystemClock, SystemRandomness


def test_the_clock_counts_milliseconds_since_the_epoch() -> None:
    before_seconds = time.time()
    now_ms = SystemClock().now_ms()
    assert int(before_seconds * 1000) <= now_ms <= time.time() * 1000


def test_randomness_gives_as_many_bytes_as_asked_and_never_the_same() -> None:
    drawn = {SystemRandomness().token_bytes(16) for _ in range(100)}
    assert len(drawn) == 100
    assert {len(value) for value in drawn} == {16}
