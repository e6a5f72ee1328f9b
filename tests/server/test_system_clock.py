"""The real clock and randomness."""

import gc
import time

from stagebook.server.system_clock import COLLECTOR_THRESHOLDS, SystemClock, SystemRandomness, tune_collector


def test_the_clock_counts_milliseconds_since_the_epoch() -> None:
    before_seconds = time.time()
    now_ms = SystemClock().now_ms()
    assert int(before_seconds * 1000) <= now_ms <= time.time() * 1000


def test_randomness_gives_as_many_bytes_as_asked_and_never_the_same() -> None:
    drawn = {SystemRandomness().token_bytes(16) for _ in range(100)}
    assert len(drawn) == 100
    assert {len(value) for value in drawn} == {16}


def test_the_collector_leaves_the_start_alone_and_looks_less_often() -> None:
    before = gc.get_threshold()
    try:
        tune_collector()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() == COLLECTOR_THRESHOLDS
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
