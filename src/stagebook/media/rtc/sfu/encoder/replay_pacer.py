"""Turns for those who catch up: a few packets each, so that neither our buffers nor a peer's overflow.

One for a process: however many viewers join at once, what is sent in a turn is bounded, and live packets come between.
Knows no packet.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

INTERVAL_SECONDS: Final = 0.005
PACKETS_PER_TURN: Final = 20
"""Of one viewer: 4,000 packets a second, nearly 40 Mbit/s."""
VIEWERS_PER_TURN: Final = 8

Turn: TypeAlias = Callable[[float], bool]
"""Called with the monotonic time; sends at most PACKETS_PER_TURN, and says whether it wants another turn."""


class Pacer:
    """Calls turns in rotation, as long as there are any."""

    def __init__(
        self, *, call_later: Callable[[float, Callable[[], None]], object], clock: Callable[[], float]
    ) -> None:
        """`call_later` as an event loop's. `clock` gives monotonic seconds."""
        self._call_later = call_later
        self._clock = clock
        self._turns: deque[Turn] = deque()
        self._is_scheduled = False

    def add(self, turn: Turn) -> None:
        """Let `turn` be called, soon and not at once."""
        self._turns.append(turn)
        self._schedule()

    def clear(self) -> None:
        """Call nobody any more."""
        self._turns.clear()

    def _schedule(self) -> None:
        if self._turns and not self._is_scheduled:
            self._is_scheduled = True
            self._call_later(INTERVAL_SECONDS, self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        now = self._clock()
        try:
            for _ in range(min(len(self._turns), VIEWERS_PER_TURN)):
                turn = self._turns.popleft()
                if turn(now):
                    self._turns.append(turn)
        finally:
            self._schedule()
