"""The statistics of the benchmark."""

import pytest

from bench.figures import Line, fit_line, median, percentile


def test_the_median_is_the_middle_value_or_the_mean_of_the_two_middle_values() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 3, 2]) == 2.5


def test_no_values_have_no_median() -> None:
    with pytest.raises(ValueError, match="no values"):
        median([])


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_by_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7], 99) == 7


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_percentage_outside_0_to_100_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percentage"):
        percentile([1], percent)


def test_a_line_through_collinear_points_is_exact() -> None:
    line = fit_line([(1, 12), (5, 20), (60, 130)])
    assert line.base == pytest.approx(10)
    assert line.slope == pytest.approx(2)
    assert line.x_at(1_000) == pytest.approx(495)


def test_a_line_through_other_points_has_the_least_squares() -> None:
    assert fit_line([(0, 0), (0, 2), (1, 1), (1, 3)]) == Line(base=1, slope=1)


def test_points_with_the_same_x_are_refused() -> None:
    with pytest.raises(ValueError, match="two different x"):
        fit_line([(1, 1), (1, 2)])
