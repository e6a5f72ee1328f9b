"""Which list and which dialect an address of the events websocket asks for."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.participants.dialects.events_address import (
    MAXIMUM_PARAMETERS,
    EventsAddress,
    events_address,
    is_events_path,
)
from stagebook.api.participants.problem_responses import RequestRefusedError

STAGE_ID = "dF2ISMircFZA"


@pytest.mark.parametrize(
    "query",
    [
        # What the versions 1.41, 1.24 and 1.10 of the SDK send.
        f"error_over_ws=1&topic={STAGE_ID}/publishers&traceid=1-6b0a55d3-47a62e47c4dd0bdc6cbb7232",
        f"topic={STAGE_ID}/publishers&traceid=1-6b0a55d3-47a62e47c4dd0bdc6cbb7232",
        f"topic={STAGE_ID}/publishers",
        f"topic={STAGE_ID}%2Fpublishers",
        f"later=1&topic={STAGE_ID}/publishers&flag",
        f"topic={STAGE_ID}/publishers&topic=other",
    ],
)
def test_a_topic_in_the_query_with_publishers_lists_those(query: str) -> None:
    expected = EventsAddress(topic=STAGE_ID, is_sdk=True, publishers_only=True)
    assert events_address("/events", query.encode()) == expected


def test_a_topic_in_the_query_lists_everybody() -> None:
    expected = EventsAddress(topic=STAGE_ID, is_sdk=True, publishers_only=False)
    assert events_address("/events", f"topic={STAGE_ID}".encode()) == expected


def test_a_topic_in_the_path_is_the_simple_dialect_whatever_the_query_says() -> None:
    address = events_address(f"/events/{STAGE_ID}", b"topic=other/publishers")
    assert address == EventsAddress(topic=STAGE_ID)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "topic=",
        "topic=/publishers",
        f"topic={STAGE_ID}/viewers",
        f"topic={STAGE_ID}/publishers/",
        "topic=" + "x" * 65,
        "topic=a b",
        "topic=a%0A",
        "TOPIC=abc",
        "&".join(["a=1"] * MAXIMUM_PARAMETERS) + f"&topic={STAGE_ID}",
        "topic=\xff",
    ],
)
def test_a_query_without_a_valid_topic_is_a_404(query: str) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        events_address("/events", query.encode("latin-1"))
    assert refused.value.problem.status == 404


@pytest.mark.parametrize("path", ["/", "/event", "/events/", "/events/a/b", "/events/a_b", "/Events", "/events\n"])
def test_another_path_is_a_404(path: str) -> None:
    assert not is_events_path(path)
    with pytest.raises(RequestRefusedError) as refused:
        events_address(path, f"topic={STAGE_ID}".encode())
    assert refused.value.problem.status == 404


@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(lambda topic: f"topic={topic}".encode())))
def test_any_query_is_an_address_or_refused(query: bytes) -> None:
    with contextlib.suppress(RequestRefusedError):
        assert re.fullmatch("[A-Za-z0-9-]{1,64}", events_address("/events", query).topic)
