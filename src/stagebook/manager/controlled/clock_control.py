"""Moves the clock of a testing server, so that everything in between happens at its own time.

A jump of the clock would let timers fire late: a stream would end hours after its limit. So an advance goes from timer
to timer. At the time of each one the clock stands still until its decision is durable and carried out; what that causes
may set further timers, also for times that are still ahead. So one advance has the same events, at the same times, as
the same time in several steps.
"""

import asyncio
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from stagebook.manager.controlled.movable_clock import MovableClock
from stagebook.manager.retention import INTERVAL_SECONDS, Retention
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.errors import InvalidInputError
from stagebook.stage.timestamps import epoch_ms, iso8601

TIMERS_AT_ONCE = 64
"""Timers that are decided before others may use the event loop. Each decision takes some 50 µs."""

LATEST_MS = epoch_ms(datetime(2100, 1, 1, tzinfo=UTC))
"""How far the clock can be moved. The sequence numbers of the book end in the year 2248."""


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """What the clock of a testing server shows: milliseconds since the epoch."""

    now_ms: int
    is_frozen: bool


class RecordingsInProgress(Protocol):
    """Recordings whose starts and ends take a moment to be reported."""

    async def settled(self) -> bool:
        """Wait until all starts and ends so far are reported. Returns whether there was one to wait for."""


class ClockControl:
    """Advances, freezes and resumes `clock`, one request at a time."""

    def __init__(
        self,
        clock: MovableClock,
        *,
        manager: StageManager,
        retention: Retention,
        recordings: RecordingsInProgress | None = None,
    ) -> None:
        """`recordings` are those without media, which end at the time at which they are told to."""
        self._clock = clock
        self._recordings = recordings
        self._manager = manager
        self._retention = retention
        self._lock = asyncio.Lock()

    @property
    def state(self) -> ClockState:
        """The time, and whether it stands still."""
        return ClockState(now_ms=self._clock.now_ms(), is_frozen=self._clock.is_frozen)

    async def advance(self, duration_ms: int) -> ClockState:
        """Move the clock forward, and return when all that was due is durable.

        Raises InvalidInputError for a move back or beyond LATEST_MS; nothing has happened then.
        """
        async with self._lock:
            was_frozen = self._clock.is_frozen
            self._clock.freeze(self._manager.now())
            try:
                await self._move(duration_ms, member="seconds")
                return msgspec.structs.replace(self.state, is_frozen=was_frozen)
            finally:
                if not was_frozen:
                    self._clock.resume()

    async def freeze(self, *, at_ms: int | None = None) -> ClockState:
        """Let the clock stand still now, or at the time `at_ms`, to which it advances.

        Raises InvalidInputError for a time in the past or beyond LATEST_MS; nothing has happened then.
        """
        async with self._lock:
            was_frozen = self._clock.is_frozen
            self._clock.freeze(self._manager.now())
            try:
                await self._move(0 if at_ms is None else at_ms - self._clock.now_ms(), member="at")
            except BaseException:
                if not was_frozen:
                    self._clock.resume()
                raise
            return self.state

    async def resume(self) -> ClockState:
        """Let the clock go on from where it stands."""
        async with self._lock:
            self._clock.resume()
            return self.state

    async def _move(self, duration_ms: int, *, member: str) -> None:
        """Move the clock, which stands still, from timer to timer. `member` is the input that says how far."""
        now_ms = self._clock.now_ms()
        if duration_ms < 0:
            rule = f"the clock cannot go back: it is {iso8601(now_ms)}"
            raise InvalidInputError(member=member, rule=rule)
        if now_ms + duration_ms > LATEST_MS:
            raise InvalidInputError(member=member, rule=f"the clock cannot go beyond {iso8601(LATEST_MS)}")
        await self._settle()
        end_ms = self._clock.monotonic_ms() + duration_ms
        while (due_ms := self._manager.next_timer_ms) is not None and due_ms <= end_ms:
            self._clock.advance(max(due_ms - self._clock.monotonic_ms(), 0))
            self._manager.tick(at_most=TIMERS_AT_ONCE)
            await self._settle()
        self._clock.advance(end_ms - self._clock.monotonic_ms())
        if duration_ms >= INTERVAL_SECONDS * 1_000 and self._retention.is_configured:
            await self._retention.try_run()

    async def _settle(self) -> None:
        """Wait until everything so far is durable and carried out, and the recordings that it has started or ended."""
        await self._manager.settled()
        while self._recordings is not None and await self._recordings.settled():
            await self._manager.settled()
