"""Whether this process has time left: measured before its streams are late, from CPU time and from late timers.

The meter is read once per INTERVAL_SECONDS by a timer, and looks at the last WINDOW_READINGS readings. The process is
overloaded if

* it has used MAX_CPU_SHARE of one core in the window. All encoders of a process share one core, and a queue grows
  without a bound when nothing of it is left; or
* MAX_LATE_READINGS readings were late by an interval or more. Then media waited as well: the machine has no time left,
  or one turn of the event loop takes long.

Late readings are counted and not added up, so one long stop of the process or of the machine is one late reading.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

INTERVAL_SECONDS: Final = 0.2
WINDOW_READINGS: Final = 25
"""Five seconds. The start of a stream, which loads libraries and creates codecs, is shorter."""
MAX_CPU_SHARE: Final = 0.8
MAX_LATE_READINGS: Final = 5


class _Reading(msgspec.Struct, frozen=True):
    at: float
    cpu_seconds: float
    is_late: bool


class LoadMeter:
    """The load of this process in the last WINDOW_READINGS readings."""

    def __init__(self, *, clock: Callable[[], float], cpu_clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds, `cpu_clock` the CPU seconds that the process has used."""
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._readings: deque[_Reading] = deque(maxlen=WINDOW_READINGS + 1)
        self.read()

    def read(self) -> None:
        """Take a reading. To be called once per INTERVAL_SECONDS."""
        now = self._clock()
        is_late = bool(self._readings) and now - self._readings[-1].at >= 2 * INTERVAL_SECONDS
        self._readings.append(_Reading(now, self._cpu_clock(), is_late))

    @property
    def cpu_share(self) -> float:
        """The share of one core that the process has used in the window; 0 before a whole window has passed."""
        first, last = self._readings[0], self._readings[-1]
        if len(self._readings) <= WINDOW_READINGS or last.at <= first.at:
            return 0.0
        return (last.cpu_seconds - first.cpu_seconds) / (last.at - first.at)

    @property
    def late_readings(self) -> int:
        """The number of late readings in the window."""
        return sum(reading.is_late for reading in self._readings)

    @property
    def is_overloaded(self) -> bool:
        """Whether the process should take no further streams."""
        return self.cpu_share >= MAX_CPU_SHARE or self.late_readings >= MAX_LATE_READINGS
