"""The scheduler of GOP replays: limited per interval, fair over time, idle without turns."""

from collections.abc import Callable

import pytest

from stagebook.media.rtc.sfu.encoder.replay_pacer import INTERVAL_SECONDS, VIEWERS_PER_TURN, ReplayPacer
from tests.media.rtc.sfu.encoder.fake_event_loop import FakeEventLoop


class SingleTurn:
    """A turn that needs no further turn. Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _now: float) -> bool:
        self.calls += 1
        return False


def make_pacer() -> tuple[ReplayPacer, FakeEventLoop]:
    """A pacer on a fake event loop."""
    loop = FakeEventLoop()
    return ReplayPacer(call_later=loop.call_later, clock=lambda: loop.now), loop


def test_a_turn_is_called_until_it_returns_false() -> None:
    pacer, loop = make_pacer()
    times: list[float] = []

    def turn(now: float) -> bool:
        times.append(now)
        return len(times) < 3

    pacer.add(turn)
    assert times == []
    loop.run_all()
    assert times == pytest.approx([100 + INTERVAL_SECONDS * number for number in (1, 2, 3)])


def test_turns_per_interval_are_limited_and_rotate() -> None:
    pacer, loop = make_pacer()
    counts = [0] * (VIEWERS_PER_TURN * 2)

    def turn(number: int) -> Callable[[float], bool]:
        def called(_now: float) -> bool:
            counts[number] += 1
            return True

        return called

    for number in range(len(counts)):
        pacer.add(turn(number))
    assert len(loop.due) == 1
    loop.run()
    assert sum(counts) == VIEWERS_PER_TURN
    for _ in range(3):
        loop.run()
    assert set(counts) == {2}


def test_cleared_turns_are_not_called_and_later_ones_are() -> None:
    pacer, loop = make_pacer()
    old, new = SingleTurn(), SingleTurn()
    pacer.add(old)
    pacer.clear()
    pacer.add(new)
    loop.run_all()
    assert (old.calls, new.calls) == (0, 1)


def test_a_turn_that_raises_is_dropped_and_the_others_continue() -> None:
    pacer, loop = make_pacer()
    other = SingleTurn()

    def fail(_now: float) -> bool:
        raise ZeroDivisionError

    pacer.add(fail)
    pacer.add(other)
    with pytest.raises(ZeroDivisionError):
        loop.run()
    loop.run_all()
    assert other.calls == 1
