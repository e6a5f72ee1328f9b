"""What the temporal layers of one simulcast layer take: bits and frames a second. Sans-I/O.

There are two averages, over one second and over three. What is sent is judged by the lower one: so a single keyframe
does not look like a higher bitrate, and a publisher that sends less is noticed within a second. What may be sent is
judged by the higher one: an encoder that stalled for a moment goes on with its bitrate.
"""

from collections import deque
from typing import Final, NamedTuple

MAX_TEMPORAL_LAYERS: Final = 4
"""A temporal id of VP8 has two bits."""
SHORT_INTERVALS: Final = 4
LONG_INTERVALS: Final = 12
"""The averages are those over so many intervals, of `engine_timer.TICK_SECONDS` each."""
PACKET_OVERHEAD_BYTES: Final = 36
"""What a packet takes beside its payload: the RTP header, a header extension and the tag of SRTP."""


class TemporalRate(NamedTuple):
    """The rates of all temporal layers up to one."""

    max_temporal_id: int
    bitrate_bps: int
    """The lower average."""
    peak_bps: int
    """The higher average."""
    frames_per_second: float


class _Interval(NamedTuple):
    seconds: float
    octets: tuple[int, ...]
    frames: tuple[int, ...]


class LayerMeter:
    """Counts the packets of one layer."""

    __slots__ = ("_frames", "_intervals", "_octets", "_started_at")

    def __init__(self, now: float) -> None:
        self._octets = [0] * MAX_TEMPORAL_LAYERS
        self._frames = [0] * MAX_TEMPORAL_LAYERS
        self._intervals: deque[_Interval] = deque(maxlen=LONG_INTERVALS)
        self._started_at = now

    def add(self, payload_bytes: int, *, temporal_id: int, ends_frame: bool) -> None:
        """Count a packet."""
        layer = temporal_id if temporal_id < MAX_TEMPORAL_LAYERS else MAX_TEMPORAL_LAYERS - 1
        self._octets[layer] += payload_bytes + PACKET_OVERHEAD_BYTES
        self._frames[layer] += ends_frame

    def end_interval(self, now: float) -> None:
        """Start the next interval."""
        seconds = now - self._started_at
        if seconds <= 0:
            return
        self._intervals.append(_Interval(seconds, tuple(self._octets), tuple(self._frames)))
        self._octets, self._frames = [0] * MAX_TEMPORAL_LAYERS, [0] * MAX_TEMPORAL_LAYERS
        self._started_at = now

    def rates(self) -> tuple[TemporalRate, ...]:
        """The rates up to each temporal layer that had frames in the last second, the last one that of the whole
        layer. Empty before the first interval, and while nothing comes."""
        recent = list(self._intervals)[-SHORT_INTERVALS:]
        seconds, recent_seconds = (sum(each.seconds for each in part) for part in (self._intervals, recent))
        octets = recent_octets = frames = 0
        found: list[TemporalRate] = []
        for temporal_id in range(MAX_TEMPORAL_LAYERS):
            octets += sum(each.octets[temporal_id] for each in self._intervals)
            more = sum(each.octets[temporal_id] for each in recent)
            if not more:
                continue
            recent_octets += more
            frames += sum(each.frames[temporal_id] for each in recent)
            rates = (8 * octets / seconds, 8 * recent_octets / recent_seconds)
            found.append(TemporalRate(temporal_id, round(min(rates)), round(max(rates)), frames / recent_seconds))
        return tuple(found)
