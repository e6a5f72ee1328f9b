"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.scenarios.durations import clock_text, duration_ms


@pytest.mark.parametrize(
    ("value", "expected_ms"),
    [
        (0, 0),
        (1.5, 1_500),
        ("250ms", 250),
        ("10s", 10_000),
        ("1m30s", 90_000),
        ("25h", 90_000_000),
        ("1.5h", 5_400_000),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_a_text_with_units(value: float | str, expected_ms: int) -> None:
    assert duration_ms(value) == expected_ms


@pytest.mark.parametrize(
    "value", ["", "10", "s", "1 m", "-1s", "1m30", "1h2x", -1, float("inf"), float("nan"), "1s" * 33]
)
def test_anything_else_is_refused_with_the_rule(value: float | str) -> None:
    with pytest.raises(ValueError, match="1m30s"):
        duration_ms(value)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_a_text_with_all_units_is_their_sum(hours: int, minutes: int, seconds: int) -> None:
    milliseconds = duration_ms(f"{hours}h{minutes}m{seconds}s")
    assert milliseconds == ((hours * 60 + minutes) * 60 + seconds) * 1_000
    assert clock_text(milliseconds) == f"{hours:02}:{minutes:02}:{seconds:02}"
