"""Advancing the clock of a server: everything happens at its own time on the way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.manager.controlled.clock_control import LATEST_MS, TIMERS_AT_ONCE, ClockControl
from stagebook.manager.controlled.movable_clock import MovableClock
from stagebook.manager.retention import Retention
from stagebook.stage.errors import InvalidInputError
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import Stage
from tests.book.retained import AGE_DAYS, policy
from tests.manager.manager_harness import LINGER_MS, ManagerHarness, SettableClock, running_manager

LIMIT_SECONDS = 60
DAY_MS = 24 * 3_600_000


@dataclass
class RunningClock(SettableClock):
    """A clock of a machine that goes on by a second each time it is read, once it runs."""

    is_running: bool = False

    def now_ms(self) -> int:
        self.ms += self.is_running * 1_000
        return super().now_ms()

    def monotonic_ms(self) -> int:
        self.ms += self.is_running * 1_000
        return super().monotonic_ms()


@dataclass
class RoundedClock(SettableClock):
    """A clock of a machine whose readings are rounded to milliseconds at different moments."""

    microseconds: int = 0

    def now_ms(self) -> int:
        return super().now_ms() + (self.microseconds + 900) // 1_000

    def monotonic_ms(self) -> int:
        return super().monotonic_ms() + self.microseconds // 1_000


class Advanced(msgspec.Struct, frozen=True, kw_only=True):
    """A manager whose clock can be advanced."""

    harness: ManagerHarness
    clock: MovableClock
    control: ClockControl


@asynccontextmanager
async def advanced(path: Path, base: SettableClock | None = None, *, days: int = 0) -> AsyncIterator[Advanced]:
    """Run a manager whose streams may last for LIMIT_SECONDS. With `days`, older rows are deleted."""
    clock = MovableClock(base or SettableClock())
    limits = msgspec.structs.replace(RELAXED, duration_seconds=LIMIT_SECONDS, publishers_per_stage=1_000)
    async with running_manager(path, limits=limits, moved_clock=clock) as harness:
        retention = Retention(book=harness.book, policy=policy(days), now=harness.manager.now)
        yield Advanced(
            harness=harness, clock=clock, control=ClockControl(clock, manager=harness.manager, retention=retention)
        )


async def times(one: Advanced, stage: Stage, participant_id: str) -> list[tuple[str, int]]:
    """The events of a participant with their times, relative to its first one, in milliseconds."""
    await one.harness.settled()
    recorded = one.harness.book.list_events(stage.arn, one.harness.session_id(stage), participant_id)
    return [(entry.event.name.value, entry.time_ms - recorded[0].time_ms) for entry in recorded]


async def test_a_stream_that_is_too_long_ends_at_exactly_its_limit(tmp_path: Path) -> None:
    async with advanced(tmp_path / "book") as one:
        stage = await one.harness.stage()
        await one.harness.publish(one.harness.claims(stage, "P"))

        state = await one.control.advance(DAY_MS)

        assert await times(one, stage, "P") == [
            ("JOINED", 0),
            ("PUBLISH_STARTED", 0),
            ("PUBLISH_ERROR", LIMIT_SECONDS * 1_000),
            ("PUBLISH_STOPPED", LIMIT_SECONDS * 1_000),
            ("LEFT", LIMIT_SECONDS * 1_000),
        ]
        assert state.now_ms == one.harness.clock.ms + DAY_MS


async def test_what_a_timer_causes_happens_on_the_same_way(tmp_path: Path) -> None:
    async with advanced(tmp_path / "book") as one:
        stage = await one.harness.stage()
        await one.harness.publish(one.harness.claims(stage, "P"))
        session_id = one.harness.session_id(stage)

        await one.control.advance(DAY_MS)

        session = one.harness.book.get_session(stage.arn, session_id)
        assert session is not None
        assert session.end_ms == session.start_ms + LIMIT_SECONDS * 1_000 + LINGER_MS


async def test_the_machine_takes_no_time_of_an_advance(tmp_path: Path) -> None:
    base = RunningClock()
    async with advanced(tmp_path / "book", base) as one:
        stage = await one.harness.stage()
        await one.harness.publish(one.harness.claims(stage, "P"))
        await one.control.freeze()
        before_ms = one.clock.now_ms()
        base.is_running = True

        state = await one.control.advance(90_000)

        assert (state.now_ms, state.is_frozen) == (before_ms + 90_000, True)
        assert (await times(one, stage, "P"))[-1] == ("LEFT", LIMIT_SECONDS * 1_000)


@pytest.mark.parametrize("microseconds", [50, 150, 950])
async def test_rounding_to_milliseconds_moves_no_event(tmp_path: Path, microseconds: int) -> None:
    base = RoundedClock()
    async with advanced(tmp_path / "book", base) as one:
        base.microseconds = microseconds
        await one.control.freeze()
        stage = await one.harness.stage()
        await one.harness.publish(one.harness.claims(stage, "P"))

        await one.control.advance(DAY_MS)

        assert (await times(one, stage, "P"))[-1] == ("LEFT", LIMIT_SECONDS * 1_000)


async def test_the_clock_goes_on_after_an_advance(tmp_path: Path) -> None:
    base = SettableClock()
    async with advanced(tmp_path / "book", base) as one:
        state = await one.control.advance(1_000)
        base.ms += 7

        assert not state.is_frozen
        assert one.control.state.now_ms == state.now_ms + 7


async def test_many_timers_at_one_time_are_decided_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = TIMERS_AT_ONCE * 2 + 1
    async with advanced(tmp_path / "book") as one:
        stage = await one.harness.stage()
        for number in range(count):
            await one.harness.publish(one.harness.claims(stage, f"P{number}"))
        decided: list[int] = []
        tick = one.harness.manager.tick

        def counted_tick(*, at_most: int | None = None) -> None:
            before = len(one.harness.manager._unit.timers)
            tick(at_most=at_most)
            decided.append(before - len(one.harness.manager._unit.timers))

        monkeypatch.setattr(one.harness.manager, "tick", counted_tick)
        await one.control.advance(LIMIT_SECONDS * 1_000)

        assert len(one.harness.manager._unit.timers) == 1  # the linger of the session
        assert decided == [TIMERS_AT_ONCE, TIMERS_AT_ONCE, 0]


@pytest.mark.parametrize("duration_ms", [-1, LATEST_MS])
async def test_a_move_back_or_too_far_is_refused_and_changes_nothing(tmp_path: Path, duration_ms: int) -> None:
    async with advanced(tmp_path / "book") as one:
        before = one.control.state

        with pytest.raises(InvalidInputError, match="seconds: the clock cannot go"):
            await one.control.advance(duration_ms)

        assert one.control.state == before


async def test_a_freeze_advances_to_its_time(tmp_path: Path) -> None:
    base = SettableClock()
    async with advanced(tmp_path / "book", base) as one:
        stage = await one.harness.stage()
        await one.harness.publish(one.harness.claims(stage, "P"))
        at_ms = base.ms + DAY_MS

        state = await one.control.freeze(at_ms=at_ms)
        base.ms += 5_000

        assert (state.now_ms, state.is_frozen) == (at_ms, True)
        assert one.control.state == state
        assert (await times(one, stage, "P"))[-1] == ("LEFT", LIMIT_SECONDS * 1_000)

        await one.control.resume()
        base.ms += 1
        assert one.control.state.now_ms == at_ms + 1


async def test_a_freeze_in_the_past_is_refused_and_the_clock_goes_on(tmp_path: Path) -> None:
    base = SettableClock()
    async with advanced(tmp_path / "book", base) as one:
        with pytest.raises(InvalidInputError, match="at: the clock cannot go back"):
            await one.control.freeze(at_ms=base.ms - 1)

        assert not one.control.state.is_frozen


async def test_events_of_a_frozen_clock_keep_their_order(tmp_path: Path) -> None:
    async with advanced(tmp_path / "book", RunningClock(is_running=True)) as one:
        await one.control.freeze()
        stage = await one.harness.stage()
        publication = await one.harness.publish(one.harness.claims(stage, "P"))
        await one.harness.manager.participants.close(one.harness.claims(stage, "P"), connection_id=publication)

        assert await times(one, stage, "P") == [
            ("JOINED", 0),
            ("PUBLISH_STARTED", 0),
            ("PUBLISH_STOPPED", 0),
            ("LEFT", 0),
        ]


async def test_rows_that_became_too_old_on_the_way_are_deleted(tmp_path: Path) -> None:
    async with advanced(tmp_path / "book", days=AGE_DAYS) as one:
        stage = await one.harness.stage()
        await one.harness.publish(one.harness.claims(stage, "P"))

        await one.control.advance(DAY_MS)
        assert len(one.harness.book.list_sessions(stage.arn, after=None, limit=9).items) == 1

        await one.control.advance(AGE_DAYS * DAY_MS)
        assert one.harness.book.list_sessions(stage.arn, after=None, limit=9).items == []


async def story(path: Path, parts_ms: list[int]) -> list[object]:
    """Let two participants publish at different times and then advance in parts; return all events with their times."""
    async with advanced(path) as one:
        stage = await one.harness.stage()
        await one.harness.publish(one.harness.claims(stage, "P"))
        await one.control.advance(20_000)
        await one.harness.publish(one.harness.claims(stage, "Q"))
        await one.harness.subscribe(one.harness.claims(stage, "V"), "P")
        session_id = one.harness.session_id(stage)
        for part_ms in parts_ms:
            await one.control.advance(part_ms)
        session = one.harness.book.get_session(stage.arn, session_id)
        return [session, *[await times(one, stage, participant_id) for participant_id in "PQV"]]


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(min_value=0, max_value=100_000), max_size=6))
async def test_any_partition_of_an_advance_has_the_same_events(cuts: list[int]) -> None:
    ends = [*sorted(cuts), 100_000]
    parts = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    with TemporaryDirectory() as folder:
        assert await story(Path(folder) / "book", parts) == await whole_story()


@cache
def whole() -> list[list[object]]:
    """The story in one step, once it is told."""
    return []


async def whole_story() -> list[object]:
    if not whole():
        with TemporaryDirectory() as folder:
            whole().append(await story(Path(folder) / "book", [100_000]))
    return whole()[0]
