"""When the video tracks of an engine send what they have queued.

A batch saves work for each viewer, and costs its first packets a wait. So the wait follows the number of viewers: an
engine with few sends what one wake-up of its event loop has read, and one with many waits for the end of the frame, up
to MAX_WAIT_SECONDS. A viewer shows a frame when its last packet has come, and that one never waits.
"""

from collections.abc import Callable
from typing import Final, Protocol

from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation

MAX_WAIT_SECONDS: Final = 0.012
"""A browser that paces its packets sends a frame of six packets in 10 ms."""
DOWN_TRACKS_WITHOUT_WAIT: Final = 16
DOWN_TRACKS_FOR_MAX_WAIT: Final = 48
"""In between, the wait grows with their number."""
_TIMER_STEP_SECONDS: Final = 0.001
"""The resolution of the event loop's timers. A shorter wait is none."""


class ScheduledCall(Protocol):
    """A call of the event loop (asyncio.Handle)."""

    def cancel(self) -> None:
        """Do not make the call."""


class SendSchedule:
    """The timers of an engine's video tracks, and the number of their viewers."""

    def __init__(
        self,
        *,
        call_later: Callable[[float, Callable[[], None]], ScheduledCall],
        clock: Callable[[], float],
        isolation: FaultIsolation,
    ) -> None:
        """`call_later` is an event loop's: with 0 seconds it calls when the current callbacks have run. `clock` returns
        monotonic seconds."""
        self.clock = clock
        self.down_tracks = 0
        """Live down tracks of video of the engine. The tracks count them."""
        self._call_later = call_later
        self._isolation = isolation

    @property
    def wait_seconds(self) -> float:
        """How long the first packet of a batch waits for more of its frame."""
        above = self.down_tracks - DOWN_TRACKS_WITHOUT_WAIT
        wait = MAX_WAIT_SECONDS * min(1.0, above / (DOWN_TRACKS_FOR_MAX_WAIT - DOWN_TRACKS_WITHOUT_WAIT))
        return wait if wait >= _TIMER_STEP_SECONDS else 0.0

    def call_later(self, seconds: float, call: Callable[[float], None]) -> ScheduledCall:
        """Call back after so many seconds, with the time. An exception is logged: one track must not stop others."""
        return self._call_later(seconds, lambda: self._call(call))

    def _call(self, call: Callable[[float], None]) -> None:
        self._isolation.call("sending", call, self.clock())
