"""How many timers of sources and viewers run in each turn of the event loop."""

import asyncio
from itertools import pairwise
from unittest.mock import Mock

from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.timer.engine_timer import CALLS_PER_TURN, EngineTimer

VIEWERS = 4 * CALLS_PER_TURN


class TimedSource:
    """A source with viewers, whose timers are counted. The time is the number of calls so far."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.viewers = {f"viewer-{number}": Mock(handle_timers=self.handle_timers) for number in range(VIEWERS)}

    def handle_timers(self, now: float) -> None:
        self.calls.append(now)

    def each_second(self, now: float) -> None:
        """Do nothing."""

    def measure(self, _now: float) -> list[object]:
        return []


def engine_timer(source: TimedSource) -> EngineTimer:
    sources: dict[str, Mock] = {"source": source}  # type: ignore[dict-item]  # a source has more than its timers
    return EngineTimer(
        sources=sources,
        connections=Mock(),
        transport=Mock(),
        feeds=Mock(),
        relayed=Mock(),
        isolation=FaultIsolation(clock=lambda: 0.0),
        on_fact=Mock(),
        clock=lambda: float(len(source.calls)),
    )


async def let_turns_pass() -> None:
    """Let the event loop make more turns than a tick has."""
    for _ in range(10):
        await asyncio.sleep(0)


async def calls_by_turn(timer: EngineTimer, source: TimedSource) -> list[int]:
    """Run one tick; return the number of calls in each turn of the event loop."""
    ticks, made = timer.ticks, [len(source.calls)]
    timer._tick()
    made.append(len(source.calls))
    while timer.ticks == ticks:
        await asyncio.sleep(0)
        made.append(len(source.calls))
    return [later - earlier for earlier, later in pairwise(made)]


async def test_few_timers_run_in_one_turn_and_each_of_them_in_every_tick() -> None:
    source = TimedSource()
    timer = engine_timer(source)
    for _ in range(5):
        turns = await calls_by_turn(timer, source)
        assert sum(turns) == 1 + VIEWERS
        assert max(turns) <= CALLS_PER_TURN <= 24
    timer.stop()


async def test_each_turn_has_its_own_time() -> None:
    source = TimedSource()
    timer = engine_timer(source)
    await calls_by_turn(timer, source)
    timer.stop()
    assert sorted(set(source.calls)) == [float(CALLS_PER_TURN * turn) for turn in range(5)]


async def test_a_viewer_that_is_closed_during_a_tick_has_no_timer_any_more() -> None:
    source = TimedSource()
    timer = engine_timer(source)
    timer._tick()
    source.viewers.clear()
    await let_turns_pass()
    timer.stop()
    assert timer.ticks == 1
    assert len(source.calls) == CALLS_PER_TURN


async def test_a_tick_does_not_begin_before_the_end_of_the_one_before() -> None:
    source = TimedSource()
    timer = engine_timer(source)
    timer._tick()
    timer._tick()
    await let_turns_pass()
    timer.stop()
    assert len(source.calls) == 1 + VIEWERS


async def test_a_timer_that_is_stopped_within_a_tick_makes_no_further_call() -> None:
    source = TimedSource()
    timer = engine_timer(source)
    timer._tick()
    timer.stop()
    await let_turns_pass()
    assert len(source.calls) == CALLS_PER_TURN
