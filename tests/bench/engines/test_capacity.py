"""The capacities of several engines, from the loads of the busiest."""

import pytest

from bench.engines.run import Engines, Window, common_slope, report


def engines(count: int, *, base: float, slope: float) -> Engines:
    """Engines of which the first needs `base`, and `slope` for each of its viewers."""
    windows = tuple(
        Window(
            viewers=viewers,
            loads=(base + slope * viewers / count, *[slope * viewers / count] * (count - 1)),
            lost=0,
        )
        for viewers in (40, 120)
    )
    return Engines(count=count, windows=windows)


def test_the_capacity_is_where_the_busiest_engine_needs_a_core() -> None:
    one, two = engines(1, base=0.1, slope=0.001), engines(2, base=0.2, slope=0.001)
    slope = common_slope([one, two])
    assert slope == pytest.approx(0.001)
    assert one.capacity(slope) == pytest.approx(900)
    assert two.capacity(slope) == pytest.approx(1600)


def test_the_targets_compare_with_one_engine() -> None:
    part = report([engines(1, base=0.1, slope=0.001), engines(2, base=0.2, slope=0.001)])
    (target,) = part.targets
    assert target.measured == pytest.approx(1600 / 900)
    assert not target.met
