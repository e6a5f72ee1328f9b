"""Estimates the bandwidth to a peer that reports by transport-wide feedback: Google Congestion Control, sans-I/O.

Each feedback message is matched with the send history. What arrived when goes to the overuse detector, the delivery
rate and a running probe; what is missing goes to the loss window. The rate control makes the estimate of them.

A packet that is reported as missing may only be late. It counts as lost when it is not reported again within
LATE_SECONDS. The work for a message is that of reading it, and a few operations for each batch that it reports.

A path that carries nothing is no congestion. While packets are sent and nothing is reported, the estimate falls, so
that a queue that may be there does not grow fast. When the path carries packets again, what was measured before is of
no use: the measurement restarts, with the estimate from before the silence. A new path restarts it in the same way.
"""

from typing import Final, cast

from stagebook.media.rtc.congestion.bandwidth_probe import BandwidthProbe
from stagebook.media.rtc.congestion.burst_capacity import BurstCapacity
from stagebook.media.rtc.congestion.delivery_rate import DeliveryRate
from stagebook.media.rtc.congestion.loss_window import LossWindow
from stagebook.media.rtc.congestion.overuse_detector import OveruseDetector, PathUsage
from stagebook.media.rtc.congestion.rate_control import START_BPS, RateControl
from stagebook.media.rtc.congestion.send_history import SendHistory, SentBatch
from stagebook.media.rtc.congestion.transport_feedback import (
    MAX_PACKETS,
    REFERENCE_TICKS,
    TICK_SECONDS,
    PacketArrivals,
    read_arrivals,
)

LATE_SECONDS: Final = 0.1
"""How late a packet may be, behind the feedback that reports it as missing."""
SENT_WINDOW_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 1.0
"""Without feedback for so long, while packets are sent, the estimate is halved."""
SILENT_SHARE: Final = 1 / 8
"""The least share of the estimate that a silence leaves."""
REPORTED_PACKETS_PER_SECOND: Final = 10_000
"""What is read of a viewer's feedback: that of ten times the packets of 8.5 Mbit/s."""
_REFERENCE_WRAP = 1 << 24


class SendSideEstimate:
    """The estimate for one connection."""

    def __init__(self) -> None:
        self.history = SendHistory()
        self.probe = BandwidthProbe()
        self.rates = RateControl()
        self.losses = LossWindow()
        self.delivery = DeliveryRate()
        self.sending = DeliveryRate(SENT_WINDOW_SECONDS)
        self.burst = BurstCapacity()
        self.detector = OveruseDetector()
        self.feedbacks = self.bad_feedbacks = 0
        """Messages that were used, and those that could not be read or report packets that were never sent."""
        self.round_trip_seconds: float | None = None
        """From feedback: with the time that the peer waits before it reports."""
        self._reported_end = 0
        self._missing: dict[int, float] = {}
        self._reference: int | None = None
        self._received = 0
        self._budget = float(MAX_PACKETS)
        self._read_at = 0.0
        self._silent_since: float | None = None
        self._sent_before = 0
        """The number of the next packet when the silence was last looked at."""
        self._before_silence_bps: float | None = None
        self._counted_from = 0
        """Reports of packets before this number are ignored: they were sent over another path, or over a dead one."""

    @property
    def known_bps(self) -> int | None:
        """As `bitrate_bps`, without what a silence has lowered."""
        known_bps = self.rates.bitrate_bps if self._before_silence_bps is None else self._before_silence_bps
        return int(known_bps) if self.feedbacks else None

    @property
    def bitrate_bps(self) -> int | None:
        """The estimate in bits per second; None before the first feedback."""
        return int(self.rates.bitrate_bps) if self.feedbacks else None

    def receive(self, body: bytes, now: float) -> None:
        """Take a feedback message, without its SSRCs, at `now` in seconds. Never raises for its content."""
        arrivals = read_arrivals(body) if self._may_read(body, now) else None
        first = -1 if arrivals is None else self.history.unwrap(arrivals.first)
        if arrivals is None or first < 0 or self.history.unwrap(arrivals.first + len(arrivals.ticks) - 1) < first:
            self.bad_feedbacks += 1
            return
        self.feedbacks += 1
        self._silent_since = now
        self._sent_before = self.history.next_number
        if self._before_silence_bps is not None:
            self._end_silence(self._before_silence_bps, first, arrivals, now)
        self._take(first, arrivals, now)
        self._reported_end = max(self._reported_end, first + len(arrivals.ticks))
        self.history.forget(first, now)
        self._decide(now)

    def _may_read(self, body: bytes, now: float) -> bool:
        """Whether the packets that a message reports are within the budget: a few bytes can report thousands."""
        self._budget = min(MAX_PACKETS, self._budget + (now - self._read_at) * REPORTED_PACKETS_PER_SECOND)
        self._read_at = now
        count = int.from_bytes(body[2:4], "big")
        if count > self._budget:
            return False
        self._budget -= count
        return True

    def handle_timers(self, now: float) -> None:
        """Lower the estimate while packets are sent and nothing is reported. Called a few times a second."""
        if self._silent_since is None or now - self._silent_since < SILENT_SECONDS:
            return
        self._silent_since = now
        sent_before, self._sent_before = self._sent_before, self.history.next_number
        if self._sent_before == sent_before:
            return
        if self._before_silence_bps is None:
            self._before_silence_bps = self.rates.bitrate_bps
        self.rates.limit_to(max(self.rates.bitrate_bps / 2, SILENT_SHARE * self._before_silence_bps), now)

    def change_path(self) -> None:
        """The peer is sent to over another path from now on. What is reported of the former one is ignored."""
        self._counted_from = self.history.next_number
        known_bps = self.rates.bitrate_bps if self._before_silence_bps is None else self._before_silence_bps
        self._restart(min(known_bps, START_BPS))

    def _end_silence(self, before_bps: float, first: int, arrivals: PacketArrivals, now: float) -> None:
        """The first feedback after a silence. If it reports packets that were sent lately, the path was dead; packets
        that were sent long ago have waited in a queue, which the measurement goes on with."""
        self._before_silence_bps = None
        arrived = first + next((index for index, tick in enumerate(arrivals.ticks) if tick is not None), 0)
        sent_at = next((sent_at for _, _, sent_at in self.history.batches(arrived, arrived + 1)), float("-inf"))
        if now - sent_at < SILENT_SECONDS:
            self._counted_from = arrived
            self._restart(before_bps)

    def _restart(self, bitrate_bps: float) -> None:
        """Measure anew, from an estimate on."""
        self._before_silence_bps = None
        self.rates = RateControl(bitrate_bps)
        self.losses = LossWindow()
        self.delivery = DeliveryRate()
        self.sending = DeliveryRate(SENT_WINDOW_SECONDS)
        self.burst = BurstCapacity()
        self.detector = OveruseDetector()
        self.round_trip_seconds = None
        self._missing.clear()
        self._received = 0
        self.probe.restart()

    def _take(self, first: int, arrivals: PacketArrivals, now: float) -> None:
        """Take the report of each batch that the message covers."""
        origin = self._origin_ticks(arrivals.reference)
        ticks = arrivals.ticks
        end = first + len(ticks)
        newest_sent_at = None
        for batch in self.history.batches(max(first, self._counted_from), end):
            begin = max(batch[0], first, self._counted_from)
            reported = ticks[begin - first : min(batch[0] + len(batch[1]), end) - first]
            if self._take_batch(batch, begin, reported, origin, now):
                newest_sent_at = batch[2]
        if newest_sent_at is not None:
            self._follow_round_trip(now - newest_sent_at)

    def _take_batch(self, batch: SentBatch, begin: int, ticks: list[int | None], origin: int, now: float) -> bool:
        """Take the report of the packets of a batch from number `begin` on. True if one of them has newly arrived."""
        start, sizes, sent_at = batch
        if begin >= self._reported_end and None not in ticks and not self.probe.is_pending:
            arrived = cast("list[int]", ticks)
            size_bytes = sum(sizes if len(ticks) == len(sizes) else sizes[begin - start : begin - start + len(ticks)])
        else:
            arrived, size_bytes = self._take_packets(batch, begin, ticks, origin, now)
        if not arrived:
            return False
        self.detector.add(sent_at, (origin + arrived[0]) * TICK_SECONDS)
        self.delivery.add((origin + arrived[-1]) * TICK_SECONDS, size_bytes)
        self.sending.add(sent_at, size_bytes)
        self.burst.add(start, (origin + arrived[0]) * TICK_SECONDS, (origin + arrived[-1]) * TICK_SECONDS, size_bytes)
        self._received += len(arrived)
        return True

    def _take_packets(
        self, batch: SentBatch, begin: int, ticks: list[int | None], origin: int, now: float
    ) -> tuple[list[int], int]:
        """As `_take_batch`, packet by packet: where some are missing, were reported before, or belong to a probe.

        Returns the ticks and the size of those that have newly arrived.
        """
        start, sizes, sent_at = batch
        arrived: list[int] = []
        size_bytes = 0
        for number, tick in enumerate(ticks, begin):
            is_new = number >= self._reported_end
            if tick is None:
                if is_new and len(self._missing) < MAX_PACKETS:
                    self._missing[number] = now
            elif is_new or self._missing.pop(number, None) is not None:
                arrived.append(tick)
                size_bytes += sizes[number - start]
                if self.probe.is_pending:
                    delay_seconds = self.detector.delay_seconds(sent_at, (origin + tick) * TICK_SECONDS)
                    self.probe.add(number, sent_at, delay_seconds, sizes[number - start])
        return arrived, size_bytes

    def _origin_ticks(self, reference: int) -> int:
        """The reference time in ticks, where its 24 bits are taken as the nearest to those of the message before."""
        if self._reference is None:
            self._reference = reference
        half = _REFERENCE_WRAP // 2
        self._reference += (reference - self._reference + half) % _REFERENCE_WRAP - half
        return self._reference * REFERENCE_TICKS

    def _follow_round_trip(self, seconds: float) -> None:
        known = self.round_trip_seconds
        # The shortest counts, and grows slowly: most of the difference is the peer's wait.
        self.round_trip_seconds = seconds if known is None else min(seconds, known * 1.01)

    def _decide(self, now: float) -> None:
        """Make the estimate of what has been reported so far."""
        delivered_bps = self.delivery.bitrate_bps()
        lost = self._take_lost(now)
        if self.rates.is_settling(now):
            self.losses.restart()
        has_fallen = self.losses.add(self._received, lost, now) and self.rates.lose(
            self.losses.clear, self.losses.usual, delivered_bps, now
        )
        self._received = 0
        usage = self.detector.usage
        self.rates.update(usage, delivered_bps, self.sending.bitrate_bps(), now)
        burst_bps = self.burst.bitrate_bps()
        if burst_bps is not None:
            self.rates.limit_to(burst_bps, now)
        if usage is PathUsage.OVERUSED or has_fallen:
            self.detector.usage = PathUsage.NORMAL
            self.probe.overused(self.history.next_number, now)
        shown_bps = self.probe.result(self._reported_end, now)
        if shown_bps is not None:
            self.rates.raise_to(shown_bps)
        self.probe.settle(now)

    def _take_lost(self, now: float) -> int:
        """Count the missing packets that are later than LATE_SECONDS, and forget them."""
        lost = 0
        for number, reported_at in list(self._missing.items()):
            # They are in the order of their reports.
            if now - reported_at < LATE_SECONDS:
                break
            del self._missing[number]
            self.probe.add(number, 0.0, None, 0)
            lost += 1
        return lost
