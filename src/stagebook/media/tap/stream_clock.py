"""The time of RTP timestamps: the streams of one publisher on one timeline. Sans-I/O.

An RTP timestamp counts the ticks of a clock of its stream, from a random start (RFC 3550 section 5.1): 90 kHz for video
(RFC 6184 section 8.2.1, RFC 7741 section 4.1) and 48 kHz for Opus (RFC 7587 section 4.1). Two sources
give the time of a timestamp:

* Sender reports map it to the sender's NTP clock, which is the same for all streams of a publisher (RFC 3550 section
  6.4.1). This is exact, and the only way to synchronise audio and video: their encoders have different delays.
  A line through the last reports also gives the true rate of the stream's clock, which may be wrong by some percent.
* Before the first report, and for senders without reports, the arrival of packets gives it: the packet with the least
  delay in the last seconds counts.

The first report of audio, or that of video until audio has one, joins the sender's NTP clock to the timeline, so that
the stream goes on without a step. Whenever a report or an arrival changes the line of a stream, its time does not jump:
the difference is kept and removed at a twentieth of the media's speed, which is not visible, or faster if it is large.

Timestamps wrap after 2^32 ticks: 13 hours of video. They are extended to numbers that do not wrap.
"""

from collections import deque
from typing import Final

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.rtp.rtp_packet import timestamp_distance
from stagebook.media.tap.source_timeline import SourceTimeline

WINDOW_SECONDS: Final = 1.0
"""The packet that was delayed least in this window and in the one before counts."""
KEPT_REPORTS: Final = 12
MAX_RATE_ERROR: Final = 0.1
"""The largest relative error of a stream's clock. Reports with a larger one are ignored."""
SLEW: Final = 0.05
"""The share of the media's time by which a difference is removed."""
SLEW_SECONDS: Final = 4.0
"""A large difference is removed in about this time."""
MAX_DIFFERENCE_US: Final = 2_000_000.0
"""A larger difference is a jump of the sender's timestamps, and is not removed slowly. They have also jumped if they
are as far ahead of their arrival."""
MAX_DELAY_US: Final = 5_000_000.0
"""All packets of a window are this much later than their timestamps say: these have jumped back."""
PRIOR_SECONDS: Final = 2.0
"""How far reports must be apart until they count more for the rate of the clock than its nominal rate. Reports have
errors of milliseconds."""
MAX_REPORT_ERROR_US: Final = 1_000_000.0
"""A report that is further from the line through those before begins a new line."""


class PublisherClock:
    """What the streams of one publisher have in common."""

    def __init__(self, timeline: SourceTimeline) -> None:
        self.timeline = timeline
        self.ntp_offset: float | None = None
        """The timeline minus the sender's NTP time, in microseconds. None before the first report."""
        self.epoch = 0
        """Counts the jumps of the sender's NTP clock."""
        self.joined_by: MediaKind | None = None
        """The kind of the stream whose report has set the offset."""
        self.bias: dict[MediaKind, float] = dict.fromkeys(MediaKind, 0.0)
        """By how much the time by reports is ahead of that by arrival: for a layer that has no report yet."""


class _ReportLine:
    """The sender's NTP time as a line over the extended timestamps of a stream."""

    def __init__(self, tick_us: float) -> None:
        self._nominal_us = tick_us
        self._reports: deque[tuple[int, float]] = deque(maxlen=KEPT_REPORTS)
        self._origin = (0.0, 0.0)
        self._slope = tick_us

    def __bool__(self) -> bool:
        """Whether there is a report."""
        return bool(self._reports)

    def at(self, extended: int) -> float:
        """The NTP time of a timestamp, in microseconds."""
        return self._origin[1] + (extended - self._origin[0]) * self._slope

    def clear(self) -> None:
        """Begin a new line."""
        self._reports.clear()

    def add(self, extended: int, ntp_us: float) -> None:
        """Add a report, and draw the line anew (least squares, with the nominal rate as the prior)."""
        if self._reports and extended <= self._reports[-1][0]:
            return
        self._reports.append((extended, ntp_us))
        count = len(self._reports)
        first = self._reports[0]
        ticks = [each[0] - first[0] for each in self._reports]
        times = [each[1] - first[1] for each in self._reports]
        mean_ticks, mean_time = sum(ticks) / count, sum(times) / count
        spread = sum((each - mean_ticks) ** 2 for each in ticks)
        products = sum((each[0] - mean_ticks) * (each[1] - mean_time) for each in zip(ticks, times, strict=True))
        prior = (PRIOR_SECONDS * 1e6 / self._nominal_us) ** 2
        slope = (products + prior * self._nominal_us) / (spread + prior)
        if abs(slope / self._nominal_us - 1) > MAX_RATE_ERROR:
            slope = self._nominal_us
        self._slope = slope
        self._origin = (first[0] + mean_ticks, first[1] + mean_time)


class StreamClock:
    """The clock of one SSRC."""

    def __init__(self, kind: MediaKind, *, clock_rate: int, publisher: PublisherClock) -> None:
        self._kind = kind
        self._publisher = publisher
        self._tick_us = 1e6 / clock_rate
        self._newest: int | None = None
        """The highest extended timestamp."""
        self._line = _ReportLine(self._tick_us)
        self._ntp_offset = 0.0
        """`PublisherClock.ntp_offset` as it was used last."""
        self._epoch = 0
        """`PublisherClock.epoch` of the reports in the line."""
        self._delays = (float("inf"), float("inf"))
        """The least difference between arrival and timestamp, in the last whole window and in the current one."""
        self._window_began = float("-inf")
        self._difference_us = 0.0
        """What is still to be worked off."""
        self._asked = 0
        """The timestamp whose time was asked for last."""

    def arrive(self, timestamp: int, now: float) -> None:
        """A packet has come that is newer than all before it, and is no retransmission."""
        if self._newest is None:
            self._newest = self._asked = timestamp
        extended = self._newest + timestamp_distance(timestamp, self._newest & 0xFFFFFFFF)
        is_new_window = now - self._window_began >= WINDOW_SECONDS
        if self._is_from_future(extended, now) or (is_new_window and self._is_line_late()):
            self._restart(extended)
        self._newest = max(self._newest, extended)
        finished, current = self._delays
        if is_new_window:
            self._window_began = now
            finished, current = current, float("inf")
        self._change((finished, min(current, self._publisher.timeline.arrival_us(now) - extended * self._tick_us)))

    def _is_from_future(self, extended: int, now: float) -> bool:
        has_time = bool(self._line) or min(self._delays) < float("inf")
        return has_time and self._target(extended) - self._expected_us(now) > MAX_DIFFERENCE_US

    def _expected_us(self, now: float) -> float:
        """The time of a packet that arrives now and was not delayed."""
        return self._publisher.timeline.arrival_us(now) + self._publisher.bias[self._kind]

    def _is_line_late(self) -> bool:
        """Whether the line is behind the arrival of all packets in the last windows."""
        if not self._line:
            return False
        newest = self._newest or 0
        by_arrival = newest * self._tick_us + min(self._delays) + self._publisher.bias[self._kind]
        return by_arrival - self._target(newest) > MAX_DELAY_US

    def _change(self, delays: tuple[float, float]) -> None:
        if delays == self._delays:
            return
        if self._line or min(self._delays) == float("inf"):
            self._delays = delays
            return
        before, self._delays = min(self._delays), delays
        self._keep(before - min(delays))

    def restart(self) -> None:
        """The sender has started again with other numbers."""
        self._restart(None)

    def _restart(self, newest: int | None) -> None:
        self._newest = newest
        self._line.clear()
        self._delays = (float("inf"), float("inf"))
        self._window_began = float("-inf")
        self._difference_us = 0.0

    def report(self, *, ntp: int, timestamp: int, now: float) -> None:
        """A sender report has come: `ntp` (64 bits) is the time of `timestamp`. One without a time is ignored."""
        if not ntp or self._newest is None:
            return
        ntp_us = ntp * 1e6 / (1 << 32)
        extended = self._newest + timestamp_distance(timestamp, self._newest & 0xFFFFFFFF)
        before = self._target(extended)
        publisher = self._publisher
        if self._line and abs(before - self._ntp_offset - ntp_us) > MAX_REPORT_ERROR_US:
            self._line.clear()
            if self._has_clock_jumped(before, ntp_us, now):
                publisher.ntp_offset = before - ntp_us
                publisher.epoch += 1
        if publisher.ntp_offset is None:
            publisher.ntp_offset, publisher.joined_by = before - ntp_us, self._kind
        is_of_clock = bool(self._line) or abs(ntp_us + publisher.ntp_offset - before) <= MAX_DELAY_US
        if not is_of_clock:
            # It is no time of the clock of the other streams: arrival is the better guess.
            return
        if self._kind is MediaKind.AUDIO is not publisher.joined_by:
            publisher.ntp_offset, publisher.joined_by = before - ntp_us, self._kind
        self._line.add(extended, ntp_us)
        self._ntp_offset, self._epoch = publisher.ntp_offset, publisher.epoch
        after = self._target(extended)
        self._keep(before - after)
        if min(self._delays) < float("inf"):
            publisher.bias[self._kind] = after - extended * self._tick_us - min(self._delays)

    def _has_clock_jumped(self, expected_us: float, ntp_us: float, now: float) -> bool:
        """Whether the sender's NTP clock has jumped, and not its timestamps: the time without the report is closer to
        the arrival than the time with it."""
        arrival_us = self._expected_us(now)
        offset = self._publisher.ntp_offset or 0.0
        return abs(expected_us - arrival_us) < abs(ntp_us + offset - arrival_us)

    def time_us(self, timestamp: int) -> float:
        """The time of a frame on the timeline, in microseconds. Ask for the frames in order."""
        if self._newest is None:
            return 0.0
        extended = self._newest + timestamp_distance(timestamp, self._newest & 0xFFFFFFFF)
        offset = self._publisher.ntp_offset
        is_usable = self._line and self._epoch == self._publisher.epoch
        if is_usable and offset is not None and offset != self._ntp_offset:
            self._keep(self._ntp_offset - offset)
            self._ntp_offset = offset
        if self._difference_us:
            self._work_off(abs(extended - self._asked) * self._tick_us)
        self._asked = extended
        return self._target(extended) + self._difference_us

    def _work_off(self, elapsed_us: float) -> None:
        size = abs(self._difference_us)
        step = min(size, elapsed_us * max(SLEW, min(0.5, size / 1e6 / SLEW_SECONDS)))
        self._difference_us -= step if self._difference_us > 0 else -step

    def _keep(self, difference_us: float) -> None:
        """The line has changed by this much: do not jump, unless it is too much."""
        self._difference_us += difference_us
        if abs(self._difference_us) > MAX_DIFFERENCE_US:
            self._difference_us = 0.0

    def _target(self, extended: int) -> float:
        if self._line:
            return self._line.at(extended) + self._ntp_offset
        delay = min(self._delays)
        bias = self._publisher.bias[self._kind]
        return extended * self._tick_us + (delay + bias if delay < float("inf") else 0.0)
