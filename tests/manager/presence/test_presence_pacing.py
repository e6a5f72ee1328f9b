"""How many bytes of snapshots a stage's watchers are sent, counted in virtual time."""

import asyncio
import math
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import pytest

from stagebook.manager.presence.presence import (
    BYTES_PER_SECOND,
    ENCODING_WATCHERS,
    GATHER_SECONDS,
    PresencePublisher,
    snapshot_of,
)
from stagebook.manager.presence.watchers import FarewellReason, StageSnapshot
from stagebook.stage.session.decide import decide
from stagebook.stage.session.session_state import Session
from tests.stage.session.decided_session import STAGE, DecidedSession, events

Result = TypeVar("Result")


class _AdvancingSelector(selectors.DefaultSelector):
    """A selector that does not wait: it advances the clock instead."""

    seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the test waits for something that nobody does"
        self.seconds += max(timeout, 0)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time."""

    def __init__(self) -> None:
        self._clock = _AdvancingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.seconds


def run(main: Coroutine[Any, Any, Result]) -> Result:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


class CountingWatcher:
    """A watcher that counts what it is shown."""

    def __init__(self) -> None:
        self.lists = 0
        self.size_bytes = 0
        self.newest: StageSnapshot | None = None
        self.first_seconds: float | None = None
        self.last_seconds = 0.0

    def show(self, snapshot: StageSnapshot) -> None:
        self.lists += 1
        self.size_bytes += snapshot.size_bytes
        self.newest = snapshot
        self.last_seconds = asyncio.get_running_loop().time()
        if self.first_seconds is None:
            self.first_seconds = self.last_seconds

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """Do nothing."""


class PacedStage:
    """A stage whose participants all watch it. The sessions are decided by the real rules."""

    def __init__(self) -> None:
        # DecidedSession compares whole sessions after each fact, which is too much for the stages here.
        self._context = DecidedSession().context
        self.session = DecidedSession().session
        self.watchers: dict[str, CountingWatcher] = {}
        self.joined_seconds: dict[str, float] = {}
        self._sessions: dict[str, Session] = {}
        self.publisher = PresencePublisher(sessions=self._sessions, settled=self._settled)

    async def _settled(self) -> None:
        """Everything is durable at once."""

    def enter(self, name: str) -> None:
        """Let a participant join whose websocket is not counted."""
        self.session = decide(self.session, events(name, f"events-{name}"), self._context).session

    def join(self, name: str) -> CountingWatcher:
        self.enter(name)
        watcher = self.watchers[name] = CountingWatcher()
        self.joined_seconds[name] = asyncio.get_running_loop().time()
        self.publisher.add(STAGE, f"events-{name}", watcher)
        self.change()
        return watcher

    def change(self) -> None:
        """Report the session as changed."""
        self._sessions[STAGE] = self.session
        self.publisher.changed(self.session)

    async def burst(self, count: int, *, joins_per_second: float) -> None:
        """Let participants join at a constant rate, and wait until everybody has been shown the last."""
        for number in range(count):
            self.join(f"participant-{number}")
            await asyncio.sleep(1 / joins_per_second)
        await asyncio.sleep(10_000)

    @property
    def total_bytes(self) -> int:
        return sum(watcher.size_bytes for watcher in self.watchers.values())

    @property
    def list_bytes(self) -> int:
        return snapshot_of(self.session).size_bytes


@pytest.mark.parametrize("joins_per_second", [100, 1_000, 100_000])
@pytest.mark.parametrize("count", [10, 100, 1_000])
def test_a_burst_of_n_joins_costs_each_watcher_o_n_log_n_bytes(count: int, joins_per_second: float) -> None:
    async def measure() -> PacedStage:
        stage = PacedStage()
        await stage.burst(count, joins_per_second=joins_per_second)
        return stage

    stage = run(measure())
    entry_bytes = stage.list_bytes / count
    for watcher in stage.watchers.values():
        assert watcher.newest is not None
        assert len(watcher.newest.participants) == count
        assert watcher.size_bytes <= entry_bytes * count * (math.log2(count) + 2)


def test_the_bytes_per_second_of_a_stage_are_bounded_while_it_changes() -> None:
    seconds = 60

    async def measure() -> tuple[int, int]:
        stage = PacedStage()
        await stage.burst(500, joins_per_second=100)
        before = stage.total_bytes
        for _ in range(seconds * 100):
            stage.change()
            await asyncio.sleep(0.01)
        return stage.total_bytes - before, stage.list_bytes * 500

    sent_bytes, one_round_bytes = run(measure())
    assert one_round_bytes * 5 < sent_bytes <= seconds * BYTES_PER_SECOND + one_round_bytes


def test_a_large_stage_costs_bounded_encoding_for_a_single_watcher() -> None:
    """Encoding is charged too: otherwise one watcher would have a list of any size encoded 100 times per second."""

    async def measure() -> tuple[int, int]:
        stage = PacedStage()
        for number in range(2_000):
            stage.enter(f"participant-{number}")
        watcher = stage.join("watcher")
        for _ in range(1_000):
            stage.change()
            await asyncio.sleep(0.01)
        return watcher.lists, stage.list_bytes

    lists, list_bytes = run(measure())
    assert lists <= 10 * BYTES_PER_SECOND / (list_bytes * ENCODING_WATCHERS) + 2


def test_an_isolated_change_of_a_large_stage_is_shown_at_once() -> None:
    async def measure() -> float:
        stage = PacedStage()
        await stage.burst(500, joins_per_second=1_000)
        changed_seconds = asyncio.get_running_loop().time()
        stage.change()
        await asyncio.sleep(10)
        return max(watcher.last_seconds for watcher in stage.watchers.values()) - changed_seconds

    assert run(measure()) < 2 * GATHER_SECONDS


def test_a_newcomer_does_not_wait_for_the_turn_of_everybody() -> None:
    async def measure() -> tuple[float, float]:
        stage = PacedStage()
        await stage.burst(1_000, joins_per_second=1_000)
        stage.change()
        await asyncio.sleep(2 * GATHER_SECONDS)
        stage.change()
        newcomer = stage.join("late")
        joined_seconds = asyncio.get_running_loop().time()
        await asyncio.sleep(100)
        assert newcomer.first_seconds is not None
        everybody = stage.watchers["participant-0"].last_seconds
        return newcomer.first_seconds - joined_seconds, everybody - joined_seconds

    newcomer_seconds, everybody_seconds = run(measure())
    assert newcomer_seconds < 2 * GATHER_SECONDS
    assert everybody_seconds > 1


def test_a_watcher_that_leaves_before_the_snapshot_is_durable_is_not_shown_it() -> None:
    async def measure() -> int:
        stage = PacedStage()
        durable = asyncio.Event()
        stage.publisher._settled = durable.wait  # type: ignore[assignment]
        watcher = stage.join("A")
        await asyncio.sleep(2 * GATHER_SECONDS)
        stage.publisher.remove("events-A")
        durable.set()
        await asyncio.sleep(10)
        return watcher.lists

    assert run(measure()) == 0


def test_a_stage_without_watchers_leaves_nothing_behind() -> None:
    async def measure() -> PresencePublisher:
        stage = PacedStage()
        for number in range(10):
            stage.join(f"participant-{number}")
        for number in range(10):
            stage.publisher.remove(f"events-participant-{number}")
        await asyncio.sleep(1)
        return stage.publisher

    publisher = run(measure())
    assert (publisher._stages, publisher._stage_of, publisher._tasks) == ({}, {}, set())


def test_the_size_of_a_snapshot_is_that_of_its_participants_as_json() -> None:
    session = DecidedSession()
    for number in range(50):
        session.open_events(f"participant-{number}")
    snapshot = snapshot_of(session.session)
    assert snapshot.size_bytes == pytest.approx(len(msgspec.json.encode(snapshot.participants)), rel=0.05)
