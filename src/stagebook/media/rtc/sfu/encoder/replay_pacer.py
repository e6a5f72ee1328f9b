"""A scheduler for GOP replays: it limits how many packets all of them together send at once.

A GOP may have thousands of packets. Sent at once they would overflow the socket's send buffer and the viewer's receive
buffer, and delay the live packets of all other viewers. The pacer calls the replays in rotation, a few per interval,
and each sends a limited number of packets per call. There is one pacer per process, so the limit holds for any number
of viewers that join at the same time.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

INTERVAL_SECONDS: Final = 0.005
PACKETS_PER_TURN: Final = 20
"""For one viewer: 4,000 packets a second, nearly 40 Mbit/s."""
VIEWERS_PER_TURN: Final = 8

ReplayTurn: TypeAlias = Callable[[float], bool]
"""Called with the monotonic time. Sends at most PACKETS_PER_TURN packets; returns True to be called again."""


class ReplayPacer:
    """Calls turns in rotation as long as there are any."""

    def __init__(
        self, *, call_later: Callable[[float, Callable[[], None]], object], clock: Callable[[], float]
    ) -> None:
        """`call_later` is an event loop's. `clock` returns monotonic seconds."""
        self._call_later = call_later
        self._clock = clock
        self._turns: deque[ReplayTurn] = deque()
        self._is_scheduled = False

    def add(self, turn: ReplayTurn) -> None:
        """Call `turn` in one of the next intervals of INTERVAL_SECONDS, never at once, so that a caller may be within a
        turn itself. It is called again as long as it returns True."""
        self._turns.append(turn)
        self._schedule()

    def clear(self) -> None:
        """Forget all turns that wait."""
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
            # A turn that raised is dropped. The others continue.
            self._schedule()
