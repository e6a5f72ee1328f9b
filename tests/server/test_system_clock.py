"""The clock and the randomness of the operating system."""

import time

from stagebook.server.system_clock import SystemClock, SystemRandomness


def test_the_wall_clock_counts_milliseconds_since_the_epoch() -> None:
    before_seconds = time.time()
    now_ms = SystemClock().now_ms()
    assert int(before_seconds * 1000) <= now_ms <= time.time() * 1000


def test_the_monotonic_clock_counts_milliseconds() -> None:
    before_seconds = time.monotonic()
    monotonic_ms = SystemClock().monotonic_ms()
    assert int(before_seconds * 1000) <= monotonic_ms <= time.monotonic() * 1000


def test_randomness_returns_the_requested_size_and_no_value_twice() -> None:
    drawn = {SystemRandomness().token_bytes(16) for _ in range(100)}
    assert len(drawn) == 100
    assert {len(value) for value in drawn} == {16}
