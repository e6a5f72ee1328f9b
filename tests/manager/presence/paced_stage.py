"""A stage whose watchers count what they are shown, in virtual time. The sessions are decided by the real rules."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from stagebook.api.participants.stage_state_messages import StageStateEncoder
from stagebook.manager.presence.presence import PresencePublisher
from stagebook.manager.presence.stage_list import StageList
from stagebook.manager.presence.watchers import FarewellReason, StageChange, StageSnapshot
from stagebook.stage.session.decide import decide
from stagebook.stage.session.session_facts import SessionFact
from stagebook.stage.session.session_state import Session
from tests.manager.presence.shown_list import ShownList
from tests.stage.session.decided_session import STAGE, DecidedSession, ended, events

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
    """Run a coroutine in virtual time. An exception in a timer or task fails it too."""
    errors: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _loop, context: errors.append(context))
        result = runner.run(main)
    assert errors == []
    return result


class CountingWatcher:
    """A watcher that counts what it is shown. `size_bytes` are those of messages as JSON."""

    def __init__(
        self, encoder: StageStateEncoder, *, takes_changes: bool = False, publishers_only: bool = False
    ) -> None:
        self.takes_changes = takes_changes
        self.publishers_only = publishers_only
        self.lists = self.changes = 0
        self.list_bytes = self.change_bytes = 0
        self.known = ShownList()
        self.newest: StageSnapshot | None = None
        self.first_seconds: float | None = None
        self.last_seconds = 0.0
        self._encoder = encoder

    @property
    def size_bytes(self) -> int:
        return self.list_bytes + self.change_bytes

    def show(self, snapshot: StageSnapshot) -> None:
        self.lists += 1
        self.list_bytes += snapshot.size_bytes
        self.known.show(snapshot)
        self.newest = snapshot
        self._note_time()

    def show_change(self, change: StageChange) -> None:
        assert self.takes_changes
        self.changes += 1
        self.change_bytes += self._encoder.encode_change(change).size_bytes
        self.known.show_change(change)
        self._note_time()

    def _note_time(self) -> None:
        self.last_seconds = asyncio.get_running_loop().time()
        if self.first_seconds is None:
            self.first_seconds = self.last_seconds

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """Do nothing."""


class PacedStage:
    """A stage whose participants all watch it."""

    def __init__(self) -> None:
        # DecidedSession compares whole sessions after each fact, which is too much for the stages here.
        self._context = DecidedSession().context
        self.session = DecidedSession().session
        self.watchers: dict[str, CountingWatcher] = {}
        self._is_flickering = False
        self._encoder = StageStateEncoder()
        self._sessions: dict[str, Session] = {}
        self.publisher = PresencePublisher(sessions=self._sessions, durable=self._durable)

    async def _durable(self) -> None:
        """Everything is durable at once."""

    def apply(self, fact: SessionFact) -> None:
        """Decide a fact, and report what it has changed."""
        decision = decide(self.session, fact, self._context)
        self.session = self._sessions[STAGE] = decision.session
        self.publisher.changed(decision.session, decision.changed_ids)

    def enter(self, name: str) -> None:
        """Let a participant join that does not watch."""
        self.apply(events(name, f"events-{name}"))

    def join(self, name: str, *, takes_changes: bool = False, publishers_only: bool = False) -> CountingWatcher:
        watcher = self.watchers[name] = CountingWatcher(
            self._encoder, takes_changes=takes_changes, publishers_only=publishers_only
        )
        self.publisher.add(STAGE, f"events-{name}", watcher)
        self.apply(events(name, f"events-{name}"))
        return watcher

    def change(self) -> None:
        """Let one more participant join, or leave."""
        fact = ended("flicker", "flickering") if self._is_flickering else events("flicker", "flickering")
        self._is_flickering = not self._is_flickering
        self.apply(fact)

    async def burst(self, count: int, *, joins_per_second: float, takes_changes: bool = False) -> None:
        """Let participants join at a constant rate, and wait until everybody has been shown the last."""
        for number in range(count):
            self.join(f"participant-{number}", takes_changes=takes_changes)
            await asyncio.sleep(1 / joins_per_second)
        await asyncio.sleep(10_000)

    @property
    def total_bytes(self) -> int:
        return sum(watcher.size_bytes for watcher in self.watchers.values())

    @property
    def total_changes(self) -> int:
        return sum(watcher.changes for watcher in self.watchers.values())

    @property
    def list_bytes(self) -> int:
        return StageList(self.session).size_bytes
