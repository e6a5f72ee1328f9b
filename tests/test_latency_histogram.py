"""The histogram: the buckets of durations, and what they sum up to."""

import pytest

from stagebook.latency_histogram import LatencyHistogram


def test_a_duration_is_counted_in_its_bucket_and_in_all_larger_ones() -> None:
    histogram = LatencyHistogram((0.1, 1))
    for seconds in (0.05, 0.1, 0.5, 3.0):
        histogram.observe(seconds)
    assert list(histogram.cumulative()) == [("0.1", 2), ("1.0", 3), ("+Inf", 4)]
    assert histogram.sum_seconds == pytest.approx(3.65)
    assert histogram.count == 4


def test_equal_durations_can_be_added_at_once() -> None:
    histogram = LatencyHistogram((1.0,))
    histogram.observe(0.5, 3)
    assert (list(histogram.cumulative()), histogram.sum_seconds) == ([("1.0", 3), ("+Inf", 3)], 1.5)
