"""The id from which a client resumes: where it may be given, and which ids are refused."""

import pytest

from stagebook.api.routes.api_input import read_query
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.watch.live_tail.resume_position import StreamParameters, given_event_id, resumed_sequence
from stagebook.book.event_id import event_id, position_id

NEWEST = 1_700_000_000_000 << 20


@pytest.mark.parametrize(
    ("header", "query", "given"),
    [
        (None, "", None),
        (b"", "", None),
        (b"a", "", "a"),
        (None, "last_event_id=b", "b"),
        (None, "lastEventId=c", "c"),
        (b"a", "last_event_id=b&lastEventId=c", "a"),
        (b"", "last_event_id=b", "b"),
        (b"\xff", "", "\xff"),
    ],
)
def test_the_header_field_is_newer_than_the_url(header: bytes | None, query: str, given: str | None) -> None:
    assert given_event_id(header, read_query(StreamParameters, query.encode())) == given


@pytest.mark.parametrize("sequence", [0, 1, NEWEST - 1, NEWEST])
def test_an_event_and_a_position_are_both_accepted(sequence: int) -> None:
    for text in (position_id(sequence), event_id(sequence, session_id="st-1", participant_id="p")):
        assert resumed_sequence(text, last_sequence=NEWEST) == sequence


OTHER_UUID = "94c3969d-74ae-4cde-9073-fb0d592b0189"
"""Of version 4. A random one would give each worker of the tests another test id."""


@pytest.mark.parametrize(
    "text",
    ["7", "\xff", "x" * 36, OTHER_UUID, "{" + position_id(0)[:34] + "}", position_id(NEWEST + 1), "f" * 8_000],
)
def test_any_other_text_is_refused_and_the_rule_is_named(text: str) -> None:
    with pytest.raises(ApiRefusedError, match="Last-Event-ID: must be the id of an event or a position") as refused:
        resumed_sequence(text, last_sequence=NEWEST)
    assert refused.value.status == 400
