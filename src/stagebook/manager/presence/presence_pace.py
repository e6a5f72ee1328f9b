"""The pace of the messages to the watchers of one stage: how long changes are gathered, and what a message costs.

Two rules bound the bytes. **Gathering**: changes within GATHER_SECONDS share one message. While changes go on, each
message doubles the time, up to a maximum; a quiet time resets it. **Pacing by size**: a message that costs S bytes
delays the next one of its kind by S / BYTES_PER_SECOND. So an isolated change is sent at once, whatever the size of
the stage.
"""

GATHER_SECONDS = 0.01
"""Time in which changes are gathered before a message is made. It also lets a transaction become durable."""
BYTES_PER_SECOND = 25_000_000
"""Mean rate of the messages of one kind and stage, 200 Mbit/s."""


class PresencePace:
    """When the next message of one kind may be sent to the watchers of one stage, in seconds of the loop's clock."""

    __slots__ = ("_gather_maximum_seconds", "_gather_seconds", "due_seconds")

    def __init__(self, *, gather_maximum_seconds: float) -> None:
        self._gather_maximum_seconds = gather_maximum_seconds
        self._gather_seconds = GATHER_SECONDS
        self.due_seconds = 0.0

    def charge(self, now_seconds: float, cost_bytes: int) -> None:
        """Delay the next message by the cost of one that is sent now."""
        # Quiet: no change for longer than the gathering time after this message was allowed.
        is_quiet = now_seconds - self.due_seconds > self._gather_seconds + GATHER_SECONDS
        doubled_seconds = min(2 * self._gather_seconds, self._gather_maximum_seconds)
        self._gather_seconds = GATHER_SECONDS if is_quiet else doubled_seconds
        self.due_seconds = now_seconds + max(self._gather_seconds, cost_bytes / BYTES_PER_SECOND)
