"""Backpressure for one encoder, by timestamps and by the number of messages.

A live encoder sends media as fast as it is recorded. A client that sends a file as fast as the network allows must not
fill the engine's buffers. Such a client is not read for a while: its unread bytes fill the TCP windows, and TCP's flow
control slows it down to the pace of its own timestamps.
"""

from typing import Final

_RATE_TOLERANCE: Final = 1.001
"""Clocks are not exact. Without a tolerance, an encoder whose clock is 0.1 % fast would be paused after hours."""
_MAX_CREDIT_SECONDS: Final = 10.0
"""How much late media may arrive at once after an interruption of the network."""
MAX_MESSAGES_PER_SECOND: Final = 1_000
"""An encoder sends about 100. Each message has a fixed cost, so many small messages would cost the server most."""


class TimestampPace:
    """Compares the advance of one track's timestamps with the time that has passed."""

    def __init__(self, *, max_ahead_seconds: float) -> None:
        self._max_ahead = max_ahead_seconds
        self._last_ms: int | None = None
        self._ahead = 0.0
        """Seconds that the timestamps are ahead of the clock; negative if they are late."""
        self._measured_at = 0.0

    def pause_seconds(self, timestamp_ms: int, *, now: float) -> float:
        """Count a message with this timestamp. Returns how long the encoder is not to be read.

        A step of more than `max_ahead_seconds` between two messages is a change of the clock, not media that was sent
        too fast. The count starts again there.
        """
        if self._last_ms is not None:
            step = (timestamp_ms - self._last_ms) / 1000
            # A step back beyond the limit must not become credit, or a clock that was set back by an hour would let the
            # encoder send an hour of media at once.
            if abs(step) > self._max_ahead:
                self._ahead = 0.0
            else:
                passed = (now - self._measured_at) * _RATE_TOLERANCE
                self._ahead = max(self._ahead + step - passed, -_MAX_CREDIT_SECONDS)
        self._last_ms, self._measured_at = timestamp_ms, now
        return max(self._ahead - self._max_ahead, 0.0)


class CountPace:
    """Limits the number of events per second: a virtual scheduling algorithm, as in a leaky bucket (ITU-T I.371, GCRA).

    One second's worth may come at once.
    """

    def __init__(self, *, max_per_second: int) -> None:
        self._max_per_second = max_per_second
        self._due_at = 0.0
        """When all events so far would be due at the maximum rate."""

    def pause_seconds(self, *, now: float, events: int = 1) -> float:
        """Count events. Returns how long no further one is to be taken."""
        self._due_at = max(self._due_at, now) + events / self._max_per_second
        return max(self._due_at - now - 1.0, 0.0)
