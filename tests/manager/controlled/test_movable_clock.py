"""The clock that a test moves: both of its clocks move together, stand still, and never go back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.manager.controlled.movable_clock import MovableClock
from stagebook.manager.session.event_clock import EventClock
from stagebook.stage.clock import Instant
from tests.manager.manager_harness import SettableClock


def times(clock: MovableClock) -> tuple[int, int]:
    return clock.now_ms(), clock.monotonic_ms()


def freeze(clock: MovableClock) -> None:
    wall_ms, monotonic_ms = times(clock)
    clock.freeze(Instant(wall_ms=wall_ms, monotonic_ms=monotonic_ms))


def test_it_follows_the_clock_of_the_machine() -> None:
    base = SettableClock()
    clock = MovableClock(base)
    base.ms += 5

    assert times(clock) == (base.now_ms(), base.monotonic_ms())


def test_advancing_moves_both_clocks() -> None:
    base = SettableClock()
    clock = MovableClock(base)

    clock.advance(25 * 3_600_000)
    base.ms += 5

    assert times(clock) == (base.now_ms() + 25 * 3_600_000, base.monotonic_ms() + 25 * 3_600_000)


def test_a_frozen_clock_stands_still_and_can_be_advanced() -> None:
    base = SettableClock()
    clock = MovableClock(base)
    wall, monotonic = times(clock)

    freeze(clock)
    base.ms += 5_000
    clock.advance(10)

    assert clock.is_frozen
    assert times(clock) == (wall + 10, monotonic + 10)


def test_a_resumed_clock_goes_on_from_where_it_stood() -> None:
    base = SettableClock()
    clock = MovableClock(base)
    wall, monotonic = times(clock)
    freeze(clock)
    base.ms += 5_000

    clock.resume()
    base.ms += 3

    assert not clock.is_frozen
    assert times(clock) == (wall + 3, monotonic + 3)


def test_the_clock_of_call_rates_advances_and_never_stands_still() -> None:
    base = SettableClock()
    clock = MovableClock(base)
    start_ns = clock.running_ns()
    freeze(clock)

    base.ms += 3
    clock.advance(1_000)

    assert clock.running_ns() - start_ns == 1_003 * 1_000_000


def test_it_never_goes_back() -> None:
    clock = MovableClock(SettableClock())
    before = times(clock)

    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)

    assert times(clock) == before


def test_it_starts_at_the_newest_time_of_an_earlier_run() -> None:
    base = SettableClock()
    clock = MovableClock(base)

    clock.start_at(base.ms - 1)
    assert clock.now_ms() == base.ms

    clock.start_at(base.ms + 90_000)
    assert clock.now_ms() == base.ms + 90_000


steps = st.lists(
    st.tuples(st.sampled_from(["pass", "advance", "freeze", "resume"]), st.integers(min_value=0, max_value=90_000_000))
)


@given(steps)
def test_the_event_clock_follows_every_move_at_once(moves: list[tuple[str, int]]) -> None:
    base = SettableClock()
    clock = MovableClock(base)
    events = EventClock(clock, floor_ms=0)
    for kind, duration_ms in moves:
        match kind:
            case "pass":
                base.ms += duration_ms
            case "advance":
                clock.advance(duration_ms)
            case "freeze":
                freeze(clock)
            case _:
                clock.resume()
        now = events.now()
        assert (now.wall_ms, now.monotonic_ms) == times(clock)
