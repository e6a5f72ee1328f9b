"""The schedule of one delivery run: which event is attempted next, and what a crash may repeat. It does no I/O.

A run delivers events of the book to one destination: those after a position, in the order of their sequence numbers
within each stage session. Sessions are independent:

    read --> pending of its session --> attempt --> delivered, or dead after the maximum age
                        ^                  |
                        +--- retry delay --+      only this session waits

* A session whose event has failed is *blocked*: its next events wait until that one is delivered or dead. At most half
  of the attempts at a time are retries, so that receivers that hang leave room for other sessions.
* The destination as a whole waits while too many sessions are blocked, or while the receiver has asked for a pause.
* A success after failures of several sessions means that the receiver is back: all blocked sessions are due at once.

What must be stored is small (`progress`): a position up to which all events are finished, and the position of each
session that lags behind it. A run that is continued from stored progress delivers every event that was not finished
when it was stored, in the same order, and those that were finished after that a second time: at least once.
"""

import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import msgspec

from stagebook.book.changes import sequence_time_ms
from stagebook.webhooks.delivery_outcome import Delivered, Failed, Missing, Outcome

RECOVERED_SESSIONS = 3
"""So many sessions must have failed since the last success for a success to mean that the receiver is back."""


class ScheduleLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a schedule. Times are in milliseconds."""

    max_age_ms: int
    """An event that fails at this age, or later, is dead."""
    max_in_flight: int = 8
    max_blocked_sessions: int = 100
    max_pending: int = 100_000
    first_retry_ms: int = 1_000
    max_retry_ms: int = 300_000
    max_pause_ms: int = 3_600_000
    """The longest pause that a receiver can ask for (Retry-After)."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has finished: all events up to `position`, but of the sessions in `lagging` only up to theirs."""

    position: int
    lagging: Mapping[str, int] = {}

    @property
    def read_position(self) -> int:
        """The position from which the events are read again."""
        return min([self.position, *self.lagging.values()])


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that is to be made now. `number` counts the attempts of this event, from 1."""

    session_id: str
    sequence: int
    number: int


class DeliveryState(StrEnum):
    """What has become of an event."""

    DELIVERED = "delivered"
    RETRYING = "retrying"
    DEAD = "dead"


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What the outcome of an attempt means for its event. `next_ms` is the time of the next attempt."""

    state: DeliveryState
    next_ms: int | None = None


class _Session:
    """The events of one session that are not finished."""

    __slots__ = ("events", "failures", "in_flight", "tries")

    def __init__(self) -> None:
        self.events: deque[int] = deque()
        self.failures = 0
        """Failures in a row, also of several events. A session with failures is blocked."""
        self.tries = 0
        """Attempts of the first event."""
        self.in_flight = False


class DeliverySchedule:
    """The schedule of one run. Time is passed in, in milliseconds since the epoch."""

    def __init__(
        self, progress: Progress, *, limits: ScheduleLimits, random: Callable[[], float], since_ms: int = 0
    ) -> None:
        """Continue from `progress`. `random` returns numbers from 0 up to 1.

        The age of an event counts from its time, or from `since_ms` if that is later.
        """
        self._position = progress.position
        self._resumed = progress
        self._limits = limits
        self._random = random
        self._since_ms = since_ms
        self.read_position = progress.read_position
        self._sessions: dict[str, _Session] = {}
        self._ready: deque[str] = deque()
        self._waiting: list[tuple[int, str]] = []
        self._in_flight = 0
        self._retries_in_flight = 0
        self._blocked = 0
        self._failed_since_success: set[str] = set()
        self._paused_until_ms = 0
        self.pending = 0

    @property
    def wants_events(self) -> bool:
        """Whether more events can be added."""
        return self.pending < self._limits.max_pending

    @property
    def blocked_sessions(self) -> int:
        """The number of sessions whose next event has failed."""
        return self._blocked

    @property
    def oldest_pending(self) -> int | None:
        """The sequence number of the oldest event that is not finished."""
        return min((session.events[0] for session in self._sessions.values()), default=None)

    def add(self, events: Sequence[tuple[int, str]], *, read_to: int) -> None:
        """Add the next events, as sequence number and session id, in the order of the book.

        `read_to` is the position up to which the book has been read; events that do not match are left out.
        """
        for sequence, session_id in events:
            if sequence <= self._resumed.position and sequence <= self._resumed.lagging.get(
                session_id, self._resumed.position
            ):
                continue
            session = self._sessions.get(session_id)
            if session is None:
                session = self._sessions[session_id] = _Session()
                self._ready.append(session_id)
            session.events.append(sequence)
            self.pending += 1
        self.read_position = read_to

    def take(self, now_ms: int) -> DeliveryAttempt | None:
        """Return the next attempt that may start now, or None. `settle` must be called with its outcome."""
        if now_ms < self._paused_until_ms or self._in_flight >= self._limits.max_in_flight:
            return None
        session_id = self._next_retry(now_ms) or self._next_ready()
        if session_id is None:
            return None
        session = self._sessions[session_id]
        session.in_flight = True
        session.tries += 1
        self._in_flight += 1
        self._retries_in_flight += bool(session.failures)
        return DeliveryAttempt(session_id=session_id, sequence=session.events[0], number=session.tries)

    def _next_retry(self, now_ms: int) -> str | None:
        if self._waiting and self._may_retry and self._waiting[0][0] <= now_ms:
            return heapq.heappop(self._waiting)[1]
        return None

    @property
    def _may_retry(self) -> bool:
        return self._retries_in_flight < max(self._limits.max_in_flight // 2, 1)

    def _next_ready(self) -> str | None:
        if self._ready and self._blocked < self._limits.max_blocked_sessions:
            return self._ready.popleft()
        return None

    def next_time_ms(self, now_ms: int) -> int | None:
        """Return when `take` may return an attempt, unless an outcome or a new event comes before; None for never."""
        if self._in_flight >= self._limits.max_in_flight:
            return None
        times = []
        if self._waiting and self._may_retry:
            times.append(self._waiting[0][0])
        if self._ready and self._blocked < self._limits.max_blocked_sessions:
            times.append(now_ms)
        return max(min(times), self._paused_until_ms) if times else None

    def settle(self, attempt: DeliveryAttempt, outcome: Outcome, *, now_ms: int) -> Settlement:
        """Note the outcome of an attempt."""
        session = self._sessions[attempt.session_id]
        session.in_flight = False
        self._in_flight -= 1
        self._retries_in_flight -= bool(session.failures)
        match outcome:
            case Delivered():
                self._note_success(session, now_ms)
                self._finish_first(attempt.session_id, session, now_ms)
                return Settlement(state=DeliveryState.DELIVERED)
            case Missing():
                self._finish_first(attempt.session_id, session, now_ms)
                return Settlement(state=DeliveryState.DEAD)
            case Failed():
                return self._note_failure(attempt, outcome, session, now_ms)

    def progress(self) -> Progress:
        """Return what is finished now. The position never goes back."""
        resumed = self._resumed
        if self.read_position < resumed.position:
            # The events of the sessions that lagged are still being read again.
            lagging = {name: max(position, self.read_position) for name, position in resumed.lagging.items()}
        else:
            unblocked = [session.events[0] for session in self._sessions.values() if not session.failures]
            self._position = max(self._position, min(unblocked, default=self.read_position + 1) - 1)
            lagging = {}
        for name, session in self._sessions.items():
            if session.events[0] <= self._position:
                lagging[name] = session.events[0] - 1
        return Progress(position=self._position, lagging=lagging)

    def _note_success(self, session: _Session, now_ms: int) -> None:
        if session.failures:
            session.failures = 0
            self._blocked -= 1
        if len(self._failed_since_success) >= RECOVERED_SESSIONS:
            self._waiting = sorted((now_ms, name) for _, name in self._waiting)
        self._failed_since_success.clear()

    def _note_failure(self, attempt: DeliveryAttempt, failed: Failed, session: _Session, now_ms: int) -> Settlement:
        if not session.failures:
            self._blocked += 1
        session.failures += 1
        if len(self._failed_since_success) < RECOVERED_SESSIONS:
            self._failed_since_success.add(attempt.session_id)
        pause_ms = min(failed.retry_after_ms or 0, self._limits.max_pause_ms)
        if pause_ms:
            self._paused_until_ms = max(self._paused_until_ms, now_ms + pause_ms)
        born_ms = max(sequence_time_ms(attempt.sequence), self._since_ms)
        if now_ms - born_ms >= self._limits.max_age_ms:
            self._finish_first(attempt.session_id, session, now_ms)
            return Settlement(state=DeliveryState.DEAD)
        due_ms = now_ms + max(self._retry_ms(session.failures), pause_ms)
        heapq.heappush(self._waiting, (due_ms, attempt.session_id))
        return Settlement(state=DeliveryState.RETRYING, next_ms=due_ms)

    def _finish_first(self, session_id: str, session: _Session, now_ms: int) -> None:
        """Remove the first event of a session, which is delivered or dead, and schedule the next one."""
        session.events.popleft()
        session.tries = 0
        self.pending -= 1
        if not session.events:
            self._blocked -= bool(session.failures)
            del self._sessions[session_id]
        elif session.failures:
            # Without the delay, a receiver that is down would get all events that are dead as fast as it refuses them.
            heapq.heappush(self._waiting, (now_ms + self._retry_ms(session.failures), session_id))
        else:
            self._ready.append(session_id)

    def _retry_ms(self, failures: int) -> int:
        """Return the delay after so many failures in a row: it doubles up to a maximum, and its upper half is random.

        The jitter keeps many sessions from calling a receiver at the same moment (Standard Webhooks, "Retries").
        """
        # The shift is bounded, because the number of failures is not.
        delay_ms = min(self._limits.first_retry_ms << min(failures - 1, 32), self._limits.max_retry_ms)
        return delay_ms // 2 + int(self._random() * (delay_ms - delay_ms // 2))
