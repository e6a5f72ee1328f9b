"""The id of an event: a UUID of version 7 that sorts like the sequence numbers and gives one back."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.event_id import event_id, sequence_of_event

sequences = st.integers(min_value=0, max_value=(1 << 63) - 1)
ids = st.text(min_size=1, max_size=20)


@given(sequence=sequences, session_id=ids, participant_id=ids)
def test_an_id_is_a_uuid_of_version_7_with_the_time_of_its_event(
    sequence: int, session_id: str, participant_id: str
) -> None:
    value = uuid.UUID(event_id(sequence, session_id=session_id, participant_id=participant_id))
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert value.int >> 80 == sequence >> SEQUENCE_TIME_SHIFT


@given(sequence=sequences, session_id=ids, participant_id=ids)
def test_an_id_gives_its_sequence_number_back(sequence: int, session_id: str, participant_id: str) -> None:
    assert sequence_of_event(event_id(sequence, session_id=session_id, participant_id=participant_id)) == sequence


@given(first=sequences, second=sequences)
def test_ids_sort_as_sequence_numbers_do(first: int, second: int) -> None:
    one, other = (event_id(each, session_id="st-1", participant_id="p") for each in (first, second))
    assert (one < other) == (first < second)


def test_events_of_two_books_with_one_sequence_number_have_two_ids() -> None:
    one, other = (event_id(7 << 20, session_id=each, participant_id="p") for each in ("st-1", "st-2"))
    assert one != other


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        str(uuid.UUID(int=0)),
        "9b2a7c1e-5d0f-4c3a-8b6e-2f1d0c9e8a7b",
        "018bcfe5-6800-7000-8000-00000000000",
        "not-a-uuid",
    ],
)
def test_another_text_is_no_event_id(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - uuid's message and ours
        sequence_of_event(text)


def test_only_the_usual_form_is_accepted() -> None:
    text = event_id(7 << 20, session_id="st-1", participant_id="p")
    with pytest.raises(ValueError, match="not the id"):
        sequence_of_event(text.upper() if text.upper() != text else "{" + text + "}")
