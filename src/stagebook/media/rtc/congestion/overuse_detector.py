"""Tells from the delays of packets whether a queue on the path grows: half of Google Congestion Control.

The delay of a packet is its arrival minus its send time, up to an unknown constant: the clocks differ. Where more is
sent than the path carries, a queue fills and each packet waits longer than the one before. The detector fits a line
to the last delays (draft-ietf-rmcat-gcc-02 section 5, with the trendline filter of libwebrtc in the place of the Kalman
filter) and compares its slope with a threshold that adapts to the jitter of the path.

Two rules are due to how an SFU sends. A frame is one burst, so a sample is the delay of the first packet of a group:
what waited before it, without the time that the group itself takes. And a keyframe fills a queue that drains by
itself: there is no overuse while the newest delays fall, or while the queue is short.
"""

from collections import deque
from enum import Enum
from typing import Final

GROUP_SECONDS: Final = 0.005
"""Packets that were sent within this time are one group (draft-ietf-rmcat-gcc-02 section 5.2)."""
WINDOW_GROUPS: Final = 20
_SMOOTHING = 0.8
_GAIN = 4.0
_MAX_DELTAS = 60
_OVERUSE_SECONDS = 0.01
_FIRST_THRESHOLD_MS = 12.5
_MIN_THRESHOLD_MS, _MAX_THRESHOLD_MS = 6.0, 600.0
_THRESHOLD_UP, _THRESHOLD_DOWN = 0.0087, 0.039
_MAX_ADAPTATION_DISTANCE_MS = 15.0
_MAX_STEP_MS = 100.0
# The gains and limits above are those of libwebrtc (modules/congestion_controller/goog_cc/trendline_estimator.cc).
SHORT_QUEUE_SECONDS: Final = 0.04
"""A queue that is shorter is no reason to send less: 30 ms of jitter look like one."""
LONG_QUEUE_SECONDS: Final = 0.1
"""A queue that is longer and does not get shorter is overuse, too: a full one does not grow."""
_LONG_QUEUE_GROUPS, _NEWEST_GROUPS = 16, 5
_DRAINED_MS = 10.0
_BASELINE_SECONDS = 5.0
"""The shortest delay of the last 5 to 10 s is that of the path without a queue."""


class PathUsage(Enum):
    """What the queue on the path does."""

    NORMAL = 0
    OVERUSED = 1
    UNDERUSED = 2
    """A queue drains."""


class OveruseDetector:
    """Follows the delays of one connection. `add` is called once for a group, that is some 50 times a second."""

    def __init__(self) -> None:
        self.usage = PathUsage.NORMAL
        self.queue_seconds = 0.0
        """The shortest of the last five delays above that of the empty path."""
        self._group_sent_at = float("-inf")
        self._first: tuple[float, float] | None = None
        self._smoothed_ms = 0.0
        self._samples: deque[tuple[float, float]] = deque(maxlen=WINDOW_GROUPS)
        """(arrival, smoothed delay) in milliseconds."""
        self._newest_ms: deque[float] = deque(maxlen=_LONG_QUEUE_GROUPS)
        self._last_ms: deque[float] = deque(maxlen=_NEWEST_GROUPS)
        self._deltas = 0
        self._threshold_ms = _FIRST_THRESHOLD_MS
        self._adapted_at_ms: float | None = None
        self._over_seconds: float | None = None
        self._overuses = 0
        self._baselines = (float("inf"), float("inf"))
        self._baseline_until = float("-inf")

    def add(self, sent_at: float, arrived_at: float) -> None:
        """Take the first arrived packet of a batch: when it was sent (our clock) and arrived (the peer's), in seconds.

        Batches come in the order of sending. Those of one group after its first are left out.
        """
        if sent_at - self._group_sent_at < GROUP_SECONDS:
            return
        elapsed, self._group_sent_at = sent_at - self._group_sent_at, sent_at
        if self._first is None:
            self._first = (sent_at, arrived_at)
        arrival_ms = (arrived_at - self._first[1]) * 1000
        delay_ms = arrival_ms - (sent_at - self._first[0]) * 1000
        self._follow_queue(delay_ms, sent_at)
        self._deltas += 1
        self._smoothed_ms = (
            delay_ms if self._deltas == 1 else _SMOOTHING * self._smoothed_ms + (1 - _SMOOTHING) * delay_ms
        )
        self._samples.append((arrival_ms, self._smoothed_ms))
        if len(self._samples) < WINDOW_GROUPS // 2:
            return
        if self.queue_seconds < SHORT_QUEUE_SECONDS / 2:
            # The usual case costs no line through the delays.
            self._over_seconds, self._overuses = None, 0
            self.usage = PathUsage.NORMAL
            return
        slope = _slope(self._samples)
        self._detect(slope, min(elapsed, 0.1), arrival_ms)

    def delay_seconds(self, sent_at: float, arrived_at: float) -> float:
        """The delay of a packet above that of the empty path, in seconds; infinite before that is known."""
        if self._first is None:
            return float("inf")
        delay_ms = (arrived_at - self._first[1] - sent_at + self._first[0]) * 1000
        return (delay_ms - min(self._baselines)) / 1000

    def _follow_queue(self, delay_ms: float, sent_at: float) -> None:
        if sent_at > self._baseline_until:
            self._baselines = (self._baselines[1], float("inf"))
            self._baseline_until = sent_at + _BASELINE_SECONDS
        self._baselines = (self._baselines[0], min(self._baselines[1], delay_ms))
        self._newest_ms.append(delay_ms)
        self._last_ms.append(delay_ms)
        self.queue_seconds = (min(self._last_ms) - min(self._baselines)) / 1000

    def _detect(self, slope: float, elapsed: float, arrival_ms: float) -> None:
        trend_ms = min(self._deltas, _MAX_DELTAS) * slope * _GAIN
        newest = list(self._newest_ms)
        is_falling = newest[-1] < newest[-min(len(newest), _NEWEST_GROUPS)]
        if self._is_standing(newest):
            self.usage = PathUsage.OVERUSED
            self._newest_ms.clear()
            self._newest_ms.append(newest[-1])
        elif trend_ms > self._threshold_ms:
            self._over_seconds = elapsed / 2 if self._over_seconds is None else self._over_seconds + elapsed
            self._overuses += 1
            is_long = self._over_seconds > _OVERUSE_SECONDS and self._overuses > 1
            if is_long and not is_falling and self.queue_seconds > SHORT_QUEUE_SECONDS:
                self._over_seconds, self._overuses = 0.0, 0
                self.usage = PathUsage.OVERUSED
            elif is_falling:
                self.usage = PathUsage.NORMAL
        else:
            self._over_seconds, self._overuses = None, 0
            self.usage = PathUsage.UNDERUSED if trend_ms < -self._threshold_ms else PathUsage.NORMAL
        self._adapt(abs(trend_ms), arrival_ms)

    def _is_standing(self, newest_ms: list[float]) -> bool:
        """Whether a long queue has been there for all of the last groups, and has not become shorter."""
        shortest_ms = min(newest_ms) - min(self._baselines)
        return (
            len(newest_ms) == _LONG_QUEUE_GROUPS
            and shortest_ms > LONG_QUEUE_SECONDS * 1000
            and newest_ms[-1] - newest_ms[0] > -_DRAINED_MS
        )

    def _adapt(self, trend_ms: float, arrival_ms: float) -> None:
        if self._adapted_at_ms is None:
            self._adapted_at_ms = arrival_ms
        distance = trend_ms - self._threshold_ms
        if distance <= _MAX_ADAPTATION_DISTANCE_MS:
            step_ms = min(arrival_ms - self._adapted_at_ms, _MAX_STEP_MS)
            gain = _THRESHOLD_DOWN if distance < 0 else _THRESHOLD_UP
            adapted = self._threshold_ms + gain * distance * step_ms
            self._threshold_ms = max(_MIN_THRESHOLD_MS, min(adapted, _MAX_THRESHOLD_MS))
        self._adapted_at_ms = arrival_ms


def _slope(samples: deque[tuple[float, float]]) -> float:
    """The slope of the least-squares line through the samples; 0.0 if all have one time."""
    first_x, first_y = samples[0]
    sum_x = sum_y = sum_xx = sum_xy = 0.0
    for x, y in samples:
        x -= first_x
        y -= first_y
        sum_x += x
        sum_y += y
        sum_xx += x * x
        sum_xy += x * y
    count = len(samples)
    spread = sum_xx - sum_x * sum_x / count
    return (sum_xy - sum_x * sum_y / count) / spread if spread > 0 else 0.0
