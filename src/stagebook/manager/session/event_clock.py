"""The clock of events: a wall clock that never goes back and does not follow short jumps.

The machine's wall clock can be set. Event times must not follow it blindly: an event that went back in time would
break the order of the book, and an event from a day ahead would hold all later ones there, because the book's sequence
only grows. So this clock is driven by the monotonic clock and follows the wall clock by three rules:

* A difference of at most STEP_MS is followed: forward at once, back by running at half speed.
* The wall clock is further ahead: this clock ignores it until the jump has lasted JUMP_MS, and then follows it. A
  clock that is wrong for some seconds has no effect.
* The wall clock is further behind, or the book already holds later times: this clock runs at half speed until the
  wall clock has caught up. Event times stay distinct and in order.
"""

from stagebook.stage.clock import Clock, Instant

STEP_MS = 1_000
"""A normal difference between the clocks: small corrections by NTP, and rounding to milliseconds."""
STEP_US = STEP_MS * 1000
JUMP_MS = 60_000
"""How long the wall clock must stay ahead before this clock follows it."""


class EventClock:
    """Reads both clocks as one Instant. `floor_ms` is the time of the newest event in the book."""

    def __init__(self, clock: Clock, *, floor_ms: int) -> None:
        self._clock = clock
        self._monotonic_ms = clock.monotonic_ms()
        # In microseconds, as running at half speed would lose half a millisecond in each call.
        self._wall_us = max(clock.now_ms(), floor_ms) * 1000
        self._ahead_since_ms: int | None = None
        self._last: Instant | None = None
        """The last answer, for calls within the same millisecond."""

    def raise_to(self, floor_ms: int) -> None:
        """Let no time from now on be below `floor_ms`, the time of the newest event in the book."""
        if self._wall_us < floor_ms * 1000:
            self._wall_us, self._last = floor_ms * 1000, None

    def now(self) -> Instant:
        """Return the present moment on both clocks, in milliseconds. Its wall time is never below an earlier one.

        Calls within the same millisecond return the same object: the transactions of a burst then share one Instant,
        and most of them read only one of the two clocks, which are system calls on some machines.
        """
        monotonic_ms = self._clock.monotonic_ms()
        if self._last is not None and monotonic_ms == self._monotonic_ms:
            return self._last
        if monotonic_ms < self._monotonic_ms:
            # The port promises a monotonic clock, but a violation must not turn event times back.
            monotonic_ms = self._monotonic_ms
        system_us = self._clock.now_ms() * 1000
        elapsed_us = (monotonic_ms - self._monotonic_ms) * 1000
        self._monotonic_ms = monotonic_ms
        ahead_us = system_us - self._wall_us - elapsed_us
        if ahead_us > STEP_US:
            self._follow_jump(system_us, elapsed_us)
        else:
            self._ahead_since_ms = None
            # Half speed instead of standing still: events of different times keep different times.
            slow_us = self._wall_us + elapsed_us // 2
            self._wall_us = slow_us if ahead_us < 0 and slow_us > system_us else system_us
        self._last = Instant(wall_ms=self._wall_us // 1000, monotonic_ms=monotonic_ms)
        return self._last

    def _follow_jump(self, system_us: int, elapsed_us: int) -> None:
        """Go on at the speed of the monotonic clock, or follow the wall clock if it has been ahead for JUMP_MS."""
        if self._ahead_since_ms is None:
            self._ahead_since_ms = self._monotonic_ms
        if self._monotonic_ms - self._ahead_since_ms >= JUMP_MS:
            self._wall_us, self._ahead_since_ms = system_us, None
        else:
            self._wall_us += elapsed_us
