"""A clock that a test moves forward, or lets stand still.

The wall clock and the monotonic clock move together, so the event clock follows at once: to it, a moved clock looks as
if time had passed (see `event_clock`).

    time of this clock = time of the machine's clock + lead

Advancing adds to the lead. A clock that stands still has an instant instead; when it goes on, the lead is chosen so
that it goes on from there. It never goes back, because the times of the book cannot.
"""

from stagebook.stage.clock import Clock, Instant


class MovableClock:
    """Implements `Clock`: the clock `base`, moved by a test."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._wall_lead_ms = 0
        self._monotonic_lead_ms = 0
        self._advanced_ms = 0
        self._still: Instant | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._still is not None

    def now_ms(self) -> int:
        """Return the wall clock: milliseconds since the Unix epoch, UTC."""
        return self._base.now_ms() + self._wall_lead_ms if self._still is None else self._still.wall_ms

    def monotonic_ms(self) -> int:
        """Return the monotonic clock: milliseconds since an arbitrary moment."""
        return self._base.monotonic_ms() + self._monotonic_lead_ms if self._still is None else self._still.monotonic_ms

    def running_ns(self) -> int:
        """Return nanoseconds of a monotonic clock that advances as this one does and never stands still.

        Call rates are measured by it: a client that waits and tries again must be admitted at some time.
        """
        return (self._base.monotonic_ms() + self._advanced_ms) * 1_000_000

    def advance(self, duration_ms: int) -> None:
        """Move both clocks forward. Raises ValueError for a move back."""
        if duration_ms < 0:
            raise ValueError("the clock never goes back")
        self._advanced_ms += duration_ms
        if self._still is None:
            self._wall_lead_ms += duration_ms
            self._monotonic_lead_ms += duration_ms
        else:
            self._still = Instant(
                wall_ms=self._still.wall_ms + duration_ms, monotonic_ms=self._still.monotonic_ms + duration_ms
            )

    def start_at(self, earliest_ms: int) -> None:
        """Advance to `earliest_ms` unless the wall clock is there already: the newest time of an earlier run."""
        self.advance(max(earliest_ms - self.now_ms(), 0))

    def freeze(self, at: Instant) -> None:
        """Let both clocks stand still at `at`, the present moment of the event clock. A clock that stands still stays.

        Both clocks of the machine are rounded to milliseconds, so two readings of them are apart by 1 ms more or less
        than the event clock has them. Standing still at its moment, they and it agree, and an event after an hour is
        an hour later to the millisecond.
        """
        if self._still is None:
            self._still = at

    def resume(self) -> None:
        """Let both clocks go on from where they stand."""
        if self._still is not None:
            self._wall_lead_ms = self._still.wall_ms - self._base.now_ms()
            self._monotonic_lead_ms = self._still.monotonic_ms - self._base.monotonic_ms()
            self._still = None
