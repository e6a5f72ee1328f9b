"""What the arrivals of a packet train say of a path."""

import pytest

from stagebook.media.rtc.congestion.packet_train import train_capacity_bps

BYTES = 300.0
GAP_SECONDS = 0.0024


def test_an_even_train_shows_the_bitrate_of_the_bottleneck() -> None:
    arrivals = [GAP_SECONDS * index for index in range(20)]
    assert train_capacity_bps(arrivals, BYTES) == pytest.approx(1_000_000)


def test_one_pause_of_the_receiver_does_not_count() -> None:
    arrivals = [GAP_SECONDS * index + (0.05 if index > 12 else 0.0) for index in range(20)]
    assert train_capacity_bps(arrivals, BYTES) == pytest.approx(1_000_000)


@pytest.mark.parametrize(
    "arrivals",
    [
        [0.0] * 10 + [0.04] * 10,
        [0.0001 * index for index in range(20)],
        [0.02 * (index // 2) for index in range(20)],
        [GAP_SECONDS * index for index in range(8)],
    ],
    ids=["read at once", "wide line", "read in pairs", "too few"],
)
def test_what_shows_no_bottleneck_says_nothing(arrivals: list[float]) -> None:
    assert train_capacity_bps(arrivals, BYTES) is None
