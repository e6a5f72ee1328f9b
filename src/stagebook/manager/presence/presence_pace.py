"""The pace of the messages to the watchers of one stage: how long changes are gathered, and what a message costs.

Two rules bound the bytes. **Gathering**: changes within GATHER_SECONDS share one message. While changes go on, each
message doubles the time, up to a maximum; a quiet time resets it. **Pacing by size**: a message that costs S bytes
delays the next one of its kind by S / BYTES_PER_SECOND. So an isolated change is sent at once, whatever the size of
the stage.

A kind may have a burst: the delays add up, and only what exceeds the burst is waited for. The mean rate is the same.
"""

GATHER_SECONDS = 0.01
"""Time in which changes are gathered before a message is made. It also lets a transaction become durable."""
BYTES_PER_SECOND = 25_000_000
"""Mean rate of the messages of one kind and stage, 200 Mbit/s."""


class PresencePace:
    """When the next message of one kind may be sent to the watchers of one stage, in seconds of the loop's clock."""

    __slots__ = ("_burst_seconds", "_gather_maximum_seconds", "_gather_seconds", "_paid_seconds", "due_seconds")

    def __init__(self, *, gather_maximum_seconds: float, burst_seconds: float = 0.0) -> None:
        """`burst_seconds` is the time for which the mean rate may be used in advance."""
        self._gather_maximum_seconds = gather_maximum_seconds
        self._burst_seconds = burst_seconds
        self._gather_seconds = GATHER_SECONDS
        self._paid_seconds = 0.0
        """The time at which the mean rate allows all messages so far."""
        self.due_seconds = 0.0

    def charge(self, now_seconds: float, cost_bytes: int) -> None:
        """Delay the next message by the cost of one that is sent now."""
        # Quiet: no change for longer than the gathering time after this message was allowed.
        is_quiet = now_seconds - self.due_seconds > self._gather_seconds + GATHER_SECONDS
        doubled_seconds = min(2 * self._gather_seconds, self._gather_maximum_seconds)
        self._gather_seconds = GATHER_SECONDS if is_quiet else doubled_seconds
        self._paid_seconds = max(self._paid_seconds, now_seconds) + cost_bytes / BYTES_PER_SECOND
        self.due_seconds = max(now_seconds + self._gather_seconds, self._paid_seconds - self._burst_seconds)
