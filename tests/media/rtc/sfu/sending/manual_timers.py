"""Timers of an event loop whose time a test moves."""

from collections.abc import Callable


class _ManualCall:
    """A call that has been scheduled."""

    def __init__(self, timers: "ManualTimers", due: float, call: Callable[[], None]) -> None:
        self._timers = timers
        self.due = due
        self.call = call

    def cancel(self) -> None:
        """Do not make the call."""
        if self in self._timers.calls:
            self._timers.calls.remove(self)


class ManualTimers:
    """A clock that stands, and the calls that wait for it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[_ManualCall] = []

    @property
    def count(self) -> int:
        """The number of calls that wait."""
        return len(self.calls)

    def clock(self) -> float:
        """The time in seconds."""
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> _ManualCall:
        """Call back when the time has moved so far."""
        scheduled = _ManualCall(self, self.now + seconds, call)
        self.calls.append(scheduled)
        return scheduled

    def advance(self, seconds: float) -> None:
        """Move the time, and make each call that becomes due, in their order."""
        end = self.now + seconds
        # A sum of floating-point numbers may miss a due time by a little.
        while due := [each for each in self.calls if each.due <= end + 1e-9]:
            earliest = min(due, key=lambda each: each.due)
            self.calls.remove(earliest)
            self.now = max(self.now, earliest.due)
            earliest.call()
        self.now = end
