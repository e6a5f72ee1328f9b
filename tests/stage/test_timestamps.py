"""The format of timestamps."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.stage.timestamps import epoch_ms, iso8601


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_682_541_388_000, "2023-04-26T20:36:28.000Z"),
        (1_682_541_388_999, "2023-04-26T20:36:28.999Z"),
        (1_709_164_800_010, "2024-02-29T00:00:00.010Z"),
    ],
)
def test_times_are_utc_with_milliseconds(time_ms: int, text: str) -> None:
    assert iso8601(time_ms) == text


@given(st.integers(0, 4_102_444_800_000))
def test_formatted_times_parse_back(time_ms: int) -> None:
    assert datetime.fromisoformat(iso8601(time_ms)) == datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=time_ms)


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_a_time_that_was_formatted_is_the_same_number_again(time_ms: int) -> None:
    assert epoch_ms(datetime.fromisoformat(iso8601(time_ms))) == time_ms
