"""The bitrate over a short window, whatever times a peer reports."""

import pytest

from stagebook.media.rtc.congestion.delivery_rate import MAX_ARRIVALS, DeliveryRate

STEP = 0.01
SIZE = 1_250
BITRATE_BPS = 1_000_000


def add(rate: DeliveryRate, start: float, count: int = 100) -> None:
    """Add arrivals of 1 Mbit/s."""
    for index in range(count):
        rate.add(start + index * STEP, SIZE)


def test_it_is_that_of_the_window() -> None:
    rate = DeliveryRate()
    add(rate, 0.0)
    assert rate.bitrate_bps() == pytest.approx(BITRATE_BPS)


def test_a_clock_that_jumps_back_begins_a_new_window() -> None:
    rate = DeliveryRate()
    rate.add(1e6, SIZE)
    add(rate, 0.0)
    assert rate.bitrate_bps() == pytest.approx(BITRATE_BPS)


def test_a_clock_that_stands_still_takes_no_more_memory() -> None:
    rate = DeliveryRate()
    for _ in range(MAX_ARRIVALS + 10):
        rate.add(5.0, SIZE)
    assert len(rate._arrivals) == MAX_ARRIVALS
    add(rate, 6.0)
    assert rate.bitrate_bps() == pytest.approx(BITRATE_BPS)
