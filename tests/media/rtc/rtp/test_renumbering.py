"""Renumbering: numbers that are left out close up, and what comes late keeps its place."""

from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtc.rtp.renumbering import Renumbering


@given(
    st.sampled_from([7, 15, 16]),
    st.integers(0, 0xFFFF),
    st.lists(st.tuples(st.sampled_from(["keep", "leave out", "lose"])), min_size=1, max_size=900),
)
def test_numbers_that_are_left_out_close_up_and_lost_ones_keep_their_place(
    bits: int, start: int, steps: list[tuple[str]]
) -> None:
    mask = (1 << bits) - 1
    numbers = Renumbering(bits=bits)
    numbers.follow(start & mask)
    expected = start & mask
    assert numbers.map(start & mask) == expected
    lost: dict[int, int] = {}
    for index, (step,) in enumerate(steps, start + 1):
        if step == "leave out":
            assert numbers.leave_out(index & mask)
            continue
        expected = (expected + 1) & mask
        if step == "lose":
            lost[index] = expected
        else:
            assert numbers.map(index & mask) == expected
    end = start + len(steps)
    # What is not too old for its number to be told from a newer one.
    recent = {index: number for index, number in lost.items() if end - index < 1 << (bits - 2)}
    for index, number in recent.items():
        assert numbers.map(index & mask) in (number, None)
        assert numbers.map(index & mask) == number or len(steps) > 256


def test_a_late_number_cannot_be_left_out() -> None:
    numbers = Renumbering(bits=16)
    numbers.follow(10)
    numbers.map(10)
    numbers.map(12)
    assert not numbers.leave_out(11)
    assert numbers.map(13) == 13


def test_another_stream_continues_behind_what_was_left_out() -> None:
    numbers = Renumbering(bits=16)
    numbers.follow(10)
    numbers.map(10)
    numbers.leave_out(11)
    assert numbers.last == 10
    numbers.follow(500)
    assert numbers.map(500) == 11
    assert numbers.map(499) is None
