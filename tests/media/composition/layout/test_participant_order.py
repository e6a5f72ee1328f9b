"""Who is shown, in which order, and who is featured."""

import pytest
from hypothesis import given

from stagebook.media.composition.layout.participant_order import shown_in_order, take_marked
from stagebook.media.composition.layout.placement import ArrangedParticipant
from tests.media.composition.layout.arranged import EXAMPLES, participants, people


def ordered(values: dict[int, str], count: int = 4, attribute: str = "order") -> list[str]:
    shown = shown_in_order(people(count, order=values), order_attribute=attribute, omits_stopped_video=False)
    return [one.participant_id for one in shown]


def test_numbers_are_compared_as_numbers() -> None:
    assert ordered({0: "10", 1: "9", 2: "1", 3: "-3"}) == ["p3", "p2", "p1", "p0"]


def test_equal_numbers_keep_the_order_of_arrival() -> None:
    assert ordered({0: "2", 1: "1", 2: "1", 3: "01"}) == ["p1", "p2", "p3", "p0"]


@pytest.mark.parametrize("value", ["", "abc", "1.5", "1e3", "0x1", " 1", "1 ", "1_0", "١", "--1", "true", "9" * 2000])
def test_what_is_no_integer_comes_last_in_the_order_of_arrival(value: str) -> None:
    assert ordered({0: value, 2: "7", 3: value}) == ["p2", "p0", "p1", "p3"]


def test_without_an_attribute_the_order_is_that_of_arrival() -> None:
    assert ordered({0: "3", 1: "2", 2: "1"}, attribute="") == ["p0", "p1", "p2", "p3"]


@EXAMPLES
@given(participants())
def test_the_order_depends_on_the_numbers_alone(shown: list[ArrangedParticipant]) -> None:
    def key(one: ArrangedParticipant) -> tuple[int, int]:
        value = one.attributes.get("order", "")
        return (0, int(value)) if value in ("1", "-7", "10") else (1, 0)

    assert shown_in_order(shown, order_attribute="order", omits_stopped_video=False) == sorted(shown, key=key)


@EXAMPLES
@given(participants())
def test_stopped_video_is_left_out_on_request(shown: list[ArrangedParticipant]) -> None:
    expected = [one for one in shown if not one.is_video_stopped]
    assert shown_in_order(shown, order_attribute="", omits_stopped_video=True) == expected


def test_the_first_who_is_marked_is_taken_out() -> None:
    shown = people(4, featured={0: "True", 1: "true", 2: "true"})
    assert [one.participant_id for one in take_marked(shown, "featured")] == ["p1"]
    assert [one.participant_id for one in shown] == ["p0", "p2", "p3"]


@pytest.mark.parametrize("value", ["True", "TRUE", "1", "yes", "", "true "])
def test_only_the_string_true_marks(value: str) -> None:
    assert take_marked(people(2, featured={0: value}), "featured") == []


def test_no_attribute_marks_nobody() -> None:
    shown = [ArrangedParticipant(participant_id="p0", attributes={"": "true"})]
    assert take_marked(shown, "") == []
