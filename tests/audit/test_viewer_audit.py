"""A subscription does not outlive the publication that it watches."""

import pytest

from tests.audit.histories import viewed


@pytest.mark.parametrize(
    ("stops", "events"),
    [
        ({"bob": [5]}, ["1/SUBSCRIBE_STARTED bob", "5/SUBSCRIBE_STOPPED bob"]),
        ({"bob": [5]}, ["5/SUBSCRIBE_STARTED bob", "9/SUBSCRIBE_STOPPED bob"]),
        ({"bob": [5, 9]}, ["6/SUBSCRIBE_STARTED bob", "9/SUBSCRIBE_STOPPED bob"]),
        ({"eve": [5]}, ["1/SUBSCRIBE_STARTED bob", "9/SUBSCRIBE_STOPPED bob"]),
        ({"bob": [5]}, ["6/SUBSCRIBE_STARTED bob"]),
        ({}, ["6/SUBSCRIBE_STARTED bob"]),
    ],
)
def test_it_may_end_with_its_publication(stops: dict[str, list[int]], events: list[str]) -> None:
    assert viewed(stops, events) == []


@pytest.mark.parametrize(
    ("stops", "events", "fault"),
    [
        ({"bob": [5]}, ["1/SUBSCRIBE_STARTED bob", "6/SUBSCRIBE_STOPPED bob"], "viewers at 1"),
        ({"bob": [5]}, ["1/SUBSCRIBE_STARTED bob"], "viewers at 0"),
        ({"bob": [2, 5]}, ["3/SUBSCRIBE_STARTED bob", "9/SUBSCRIBE_STOPPED bob"], "viewers at 1"),
    ],
)
def test_it_may_not_go_on(stops: dict[str, list[int]], events: list[str], fault: str) -> None:
    assert viewed(stops, events) == [fault]
