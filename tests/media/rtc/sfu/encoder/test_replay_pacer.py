"""Turns in rotation: bounded at once, fair over time, and none when there is nothing to do."""

from collections.abc import Callable

import pytest

from stagebook.media.rtc.sfu.encoder.replay_pacer import INTERVAL_SECONDS, VIEWERS_PER_TURN, ReplayPacer
from tests.media.rtc.sfu.encoder.fake_event_loop import FakeEventLoop


class Once:
    """A turn that is enough."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _now: float) -> bool:
        self.calls += 1
        return False


def pacer() -> tuple[ReplayPacer, FakeEventLoop]:
    """A pacer on a loop by hand."""
    loop = FakeEventLoop()
    return ReplayPacer(call_later=loop.call_later, clock=lambda: loop.now), loop


def test_a_turn_is_called_until_it_wants_no_more() -> None:
    paced, loop = pacer()
    times: list[float] = []

    def turn(now: float) -> bool:
        times.append(now)
        return len(times) < 3

    paced.add(turn)
    assert times == []
    loop.run_all()
    assert times == pytest.approx([100 + INTERVAL_SECONDS * number for number in (1, 2, 3)])


def test_so_many_at_once_and_everybody_in_rotation() -> None:
    paced, loop = pacer()
    counts = [0] * (VIEWERS_PER_TURN * 2)

    def turn(number: int) -> Callable[[float], bool]:
        def called(_now: float) -> bool:
            counts[number] += 1
            return True

        return called

    for number in range(len(counts)):
        paced.add(turn(number))
    assert len(loop.due) == 1
    loop.run()
    assert sum(counts) == VIEWERS_PER_TURN
    for _ in range(3):
        loop.run()
    assert set(counts) == {2}


def test_after_clear_nobody_is_called_and_a_new_one_is() -> None:
    paced, loop = pacer()
    old, new = Once(), Once()
    paced.add(old)
    paced.clear()
    paced.add(new)
    loop.run_all()
    assert (old.calls, new.calls) == (0, 1)


def test_a_turn_that_fails_ends_itself_and_no_other() -> None:
    paced, loop = pacer()
    other = Once()

    def fail(_now: float) -> bool:
        raise ZeroDivisionError

    paced.add(fail)
    paced.add(other)
    with pytest.raises(ZeroDivisionError):
        loop.run()
    loop.run_all()
    assert other.calls == 1
