"""How fast one encoder may be listened to: by its timestamps, and by the number of its messages. Knows no socket.

An encoder that sends a file as fast as the network takes it is held to the speed of its own timestamps by not being
read: TCP slows it down, and what it has sent does not pile up here.
"""

from typing import Final

_ALLOWED_SPEED: Final = 1.001
"""No encoder's clock is exact. One that is a thousandth too fast is not held up, ever more, on a long day."""
_MAX_CREDIT_SECONDS: Final = 10.0
"""How much that was late, after a stall of the network, may come as fast as it can."""
MAX_MESSAGES_PER_SECOND: Final = 1_000
"""More is no encoder's; messages are worked on one by one, so small ones cost most. A second's worth may come at
once."""


class Pace:
    """How far one track's timestamps run ahead of the time that has passed."""

    def __init__(self, *, max_ahead_seconds: float) -> None:
        self._max_ahead = max_ahead_seconds
        self._last_ms: int | None = None
        self._ahead = 0.0
        self._measured_at = 0.0

    def pause_seconds(self, timestamp_ms: int, *, now: float) -> float:
        """Take a message's timestamp; return how long nothing should be read.

        A jump of more than `max_ahead_seconds` between two messages is no speed but another time line: the count begins
        anew there.
        """
        if self._last_ms is not None:
            step = (timestamp_ms - self._last_ms) / 1000
            if abs(step) > self._max_ahead:
                self._ahead = 0.0
            else:
                passed = (now - self._measured_at) * _ALLOWED_SPEED
                self._ahead = max(self._ahead + step - passed, -_MAX_CREDIT_SECONDS)
        self._last_ms, self._measured_at = timestamp_ms, now
        return max(self._ahead - self._max_ahead, 0.0)


class MessageRate:
    """How far the number of messages runs ahead of what MAX_MESSAGES_PER_SECOND allows."""

    def __init__(self) -> None:
        self._due = 0.0

    def pause_seconds(self, *, now: float) -> float:
        """Take a message; return how long nothing should be read."""
        self._due = max(self._due, now) + 1 / MAX_MESSAGES_PER_SECOND
        return max(self._due - now - 1.0, 0.0)
