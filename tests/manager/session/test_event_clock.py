"""The clock of events: driven by the monotonic clock, following the wall clock by three rules."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.manager.session.event_clock import JUMP_MS, STEP_MS, EventClock

START_MS = 1_700_000_000_000
DAY_MS = 86_400_000


@dataclass
class TwoClocks:
    """A machine whose two clocks are set independently."""

    wall_ms: int = START_MS
    elapsed_ms: int = 0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return 77 + self.elapsed_ms

    def advance(self, duration_ms: int, *, drift_ms: int = 0) -> None:
        """Let time pass; the wall clock gains `drift_ms` on the way."""
        self.elapsed_ms += duration_ms
        self.wall_ms += duration_ms + drift_ms


def running(floor_ms: int = 0) -> tuple[TwoClocks, EventClock]:
    clocks = TwoClocks()
    return clocks, EventClock(clocks, floor_ms=floor_ms)


def test_it_shows_both_clocks() -> None:
    clocks, clock = running()
    clocks.advance(1_234)

    now = clock.now()

    assert (now.wall_ms, now.monotonic_ms) == (START_MS + 1_234, 77 + 1_234)


def test_calls_within_a_millisecond_share_an_instant_and_a_reading_of_the_wall_clock() -> None:
    clocks, clock = running()
    clocks.advance(1)
    first = clock.now()
    clocks.wall_ms += 1
    assert clock.now() is first
    clocks.elapsed_ms += 1
    assert clock.now().wall_ms == START_MS + 2


@pytest.mark.parametrize("step_ms", [1, STEP_MS])
def test_a_small_step_forward_is_followed_at_once(step_ms: int) -> None:
    clocks, clock = running()
    clocks.advance(10, drift_ms=step_ms)

    assert clock.now().wall_ms == clocks.wall_ms


@pytest.mark.parametrize("step_ms", [2, STEP_MS, DAY_MS])
def test_a_step_back_is_made_up_at_half_speed(step_ms: int) -> None:
    clocks, clock = running()
    clocks.advance(0, drift_ms=-step_ms)
    assert clock.now().wall_ms == START_MS

    clocks.advance(step_ms)
    assert clock.now().wall_ms == START_MS + step_ms // 2

    clocks.advance(step_ms)
    assert clock.now().wall_ms == clocks.wall_ms == START_MS + step_ms


def test_half_speed_is_exact_for_readings_of_each_millisecond() -> None:
    clocks, clock = running()
    clocks.advance(0, drift_ms=-DAY_MS)

    for _ in range(1_000):
        clocks.advance(1)
        clock.now()

    assert clock.now().wall_ms == START_MS + 500


@pytest.mark.parametrize("jump_ms", [STEP_MS + 1, DAY_MS])
def test_a_jump_forward_is_ignored_until_it_has_lasted(jump_ms: int) -> None:
    clocks, clock = running()
    clocks.advance(0, drift_ms=jump_ms)
    assert clock.now().wall_ms == START_MS

    clocks.advance(JUMP_MS - 1)
    assert clock.now().wall_ms == START_MS + JUMP_MS - 1

    clocks.advance(1)
    assert clock.now().wall_ms == clocks.wall_ms


def test_a_short_jump_forward_leaves_no_trace() -> None:
    clocks, clock = running()
    clocks.advance(0, drift_ms=DAY_MS)
    clock.now()
    clocks.advance(JUMP_MS - 1, drift_ms=-DAY_MS)

    assert clock.now().wall_ms == clocks.wall_ms == START_MS + JUMP_MS - 1


def test_each_jump_has_to_last_by_itself() -> None:
    clocks, clock = running()
    for _ in range(3):
        clocks.advance(0, drift_ms=DAY_MS)
        clock.now()
        clocks.advance(JUMP_MS // 2, drift_ms=-DAY_MS)
        assert clock.now().wall_ms == clocks.wall_ms


def test_it_starts_at_the_newest_event_of_the_book() -> None:
    clocks, clock = running(floor_ms=START_MS + 10_000)
    assert clock.now().wall_ms == START_MS + 10_000

    clocks.advance(10_000)
    assert clock.now().wall_ms == START_MS + 15_000

    clocks.advance(10_000)
    assert clock.now().wall_ms == clocks.wall_ms


def test_a_monotonic_clock_that_goes_back_is_held() -> None:
    clocks, clock = running()
    clocks.advance(1_000)
    before = clock.now()
    clocks.elapsed_ms -= 500

    after = clock.now()

    assert after.monotonic_ms == before.monotonic_ms
    assert after.wall_ms >= before.wall_ms


STEPS = st.lists(
    st.tuples(
        st.integers(0, 90_000),
        st.one_of(st.just(0), st.integers(-5_000, 5_000), st.sampled_from([DAY_MS, -DAY_MS, 3_600_000, -3_600_000])),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, floor_ms=st.sampled_from([0, START_MS + 1_000, START_MS + DAY_MS]))
def test_whatever_the_wall_clock_does_event_times_keep_their_rules(steps: list[tuple[int, int]], floor_ms: int) -> None:
    clocks, clock = running(floor_ms)
    before = clock.now()
    assert before.wall_ms == max(START_MS, floor_ms)
    for duration_ms, drift_ms in steps:
        clocks.advance(duration_ms, drift_ms=drift_ms)
        now = clock.now()
        elapsed_ms = now.monotonic_ms - before.monotonic_ms
        assert elapsed_ms == duration_ms
        # It never goes back, and it never stands still while time passes: at least half speed, minus rounding.
        assert now.wall_ms >= before.wall_ms + duration_ms // 2 - 1
        if now.wall_ms > before.wall_ms + duration_ms + 1:
            assert now.wall_ms == clocks.wall_ms  # it follows the wall clock, by a step or by a jump that lasted
        if clocks.wall_ms < now.wall_ms:
            # Behind the events: at most half speed, minus what one reading can make up.
            assert now.wall_ms - before.wall_ms <= duration_ms // 2 + 1
        before = now


@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_it_agrees_with_a_wall_clock_that_is_right_for_long_enough(steps: list[tuple[int, int]]) -> None:
    clocks, clock = running()
    for duration_ms, drift_ms in steps:
        clocks.advance(duration_ms, drift_ms=drift_ms)
        clock.now()
    lead_ms = max(0, clock.now().wall_ms - clocks.wall_ms)

    clocks.advance(2 * lead_ms + 2 * JUMP_MS)
    clock.now()
    clocks.advance(JUMP_MS)

    assert clock.now().wall_ms == clocks.wall_ms
