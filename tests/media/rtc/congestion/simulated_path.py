"""A network path in virtual time: a bottleneck with a queue, delay, jitter and loss, between senders and receivers.

Each sender is a `SimulatedSender`: it makes frames and audio packets, sends them in batches as the engine does, and is
reported to by transport-wide feedback. Everything random comes from one seed.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Final

from stagebook.media.rtc.congestion.send_side_estimate import SendSideEstimate
from tests.media.rtc.congestion.feedback_writer import write_arrivals

PACKET_BYTES: Final = 1200
AUDIO_BYTES: Final = 120
FEEDBACK_SECONDS: Final = 0.05
TICKS_PER_SECOND: Final = 4000
AWAKE_SECONDS: Final = 0.05
LATE_SHARE: Final = 0.3
MAX_ASLEEP_SECONDS: Final = 0.3


class SimulatedPath:
    """The clock, and the one queue that all senders share."""

    def __init__(
        self,
        rate_bps: float,
        *,
        delay_seconds: float = 0.02,
        jitter_seconds: float = 0.0,
        loss: float = 0.0,
        queue_seconds: float = 0.5,
        seed: int = 1,
    ) -> None:
        """`delay_seconds` is that of one way. `queue_seconds` is how long the longest queue takes at `rate_bps`."""
        self.now = 100.0
        self.rate_bps = rate_bps
        self.queue_bytes = int(rate_bps * queue_seconds / 8)
        self.offered_bytes = self.dropped = 0
        self.is_dead = False
        """Whether all packets are lost."""
        self._delay_seconds, self._jitter_seconds, self._loss = delay_seconds, jitter_seconds, loss
        self._random = random.Random(seed)
        self._free_at = self.now
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, time: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), call))

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self.at(self.now + seconds, call)

    def run_until(self, time: float) -> None:
        while self._events and self._events[0][0] <= time:
            self.now, _, call = heapq.heappop(self._events)
            call()
        self.now = time

    def send(self, size_bytes: int, deliver: Callable[[float], None]) -> None:
        """Send a packet. `deliver` is called with the time of its arrival, unless it is lost."""
        self.offered_bytes += size_bytes
        queued_bytes = max(0.0, self._free_at - self.now) * self.rate_bps / 8
        if queued_bytes + size_bytes > max(self.queue_bytes, PACKET_BYTES * 4):
            self.dropped += 1
            return
        self._free_at = max(self._free_at, self.now) + size_bytes * 8 / self.rate_bps
        if self.is_dead or self._random.random() < self._loss:
            return
        arrives_at = self._free_at + self._delay_seconds + self._random.uniform(0, self._jitter_seconds)
        self.at(arrives_at, lambda: deliver(self.now))

    def answer(self, deliver: Callable[[], None]) -> None:
        """Call `deliver` when a message of a receiver has come back. The way back has the delay alone."""
        self.after(self._delay_seconds, deliver)

    def stall_until(self, time: float) -> None:
        """Let packets wait in the queue, which has room for all of them, until a time."""
        self._free_at = max(self._free_at, time)
        self.queue_bytes = 1 << 40

    def set_rate(self, rate_bps: float) -> None:
        """Change what the path carries. What is queued leaves at the former rate."""
        self.rate_bps = rate_bps


class SimulatedSender:
    """A viewer's connection: 30 frames and 50 audio packets a second, and the receiver's feedback."""

    def __init__(
        self,
        path: SimulatedPath,
        *,
        bitrates: tuple[int, ...] = (),
        keyframe_seconds: float = 0.0,
        asleep_seconds: float = 0.0,
        seed: int = 1,
    ) -> None:
        """`bitrates` of layers, lowest first: the sender sends one of them, as an SFU does. Without them it sends as
        much as is estimated. A keyframe is eight times as large as the other frames.

        The receiver is on a busy machine: after AWAKE_SECONDS on average it sleeps for `asleep_seconds` on average, and
        then reads at once what has arrived meanwhile. LATE_SHARE of the bursts of probes are late by as much.
        """
        self.path = path
        self._asleep_seconds = asleep_seconds
        self._random = random.Random(f"receiver {seed}")
        self._sleeps_at = self._wakes_at = path.now
        self.estimate = SendSideEstimate()
        self.bitrates = bitrates
        self.bitrate_bps = float(bitrates[-1]) if bitrates else 0.0
        self.switches: list[tuple[float, float]] = []
        self.arrived_bytes = 0
        self.longest_delay_seconds = 0.0
        self._keyframe_seconds = keyframe_seconds
        self._keyframe_at = path.now
        self._debt = 0.0
        self._arrivals: dict[int, int] = {}
        self._next_report = 0
        path.after(0.0, self._frame)
        path.after(0.007, self._audio)
        path.after(0.04, self._report)
        path.after(0.25, self._tick)

    @property
    def bandwidth_bps(self) -> float:
        return self.estimate.rates.bitrate_bps

    def _send(self, sizes: list[int]) -> None:
        if not sizes:
            return
        history = self.estimate.history
        first = history.next_number
        history.add(history.take(len(sizes)), sizes, self.path.now)
        sent_at = self.path.now
        for number, size in enumerate(sizes, first):

            def read(number: int = number, size: int = size) -> None:
                self._arrivals[number] = round(self.path.now * TICKS_PER_SECOND)
                self.arrived_bytes += size
                self.longest_delay_seconds = max(self.longest_delay_seconds, self.path.now - sent_at)

            self.path.send(size, lambda now, read=read: self.path.at(self._read_at(now), read))  # type: ignore[misc]

    def _read_at(self, now: float) -> float:
        """When the receiver reads what arrives at `now`."""
        if not self._asleep_seconds:
            return now
        while self._wakes_at <= now:
            self._sleeps_at = self._wakes_at + self._random.expovariate(1 / AWAKE_SECONDS)
            self._wakes_at = self._sleeps_at + min(
                self._random.expovariate(1 / self._asleep_seconds), MAX_ASLEEP_SECONDS
            )
        return self._wakes_at if now >= self._sleeps_at else now

    def _frame(self) -> None:
        self.path.after(1 / 30, self._frame)
        bitrate = self.bitrate_bps or self.bandwidth_bps - AUDIO_BYTES * 8 * 50
        size = bitrate / 8 / 30
        if self._keyframe_seconds and self.path.now >= self._keyframe_at:
            self._keyframe_at += self._keyframe_seconds
            self._debt += 7 * size
            size *= 8
        elif self._debt > 0:
            saved = min(size * 0.2, self._debt)
            self._debt -= saved
            size -= saved
        whole, rest = divmod(max(int(size), 100), PACKET_BYTES)
        self._send([PACKET_BYTES] * whole + [rest] * (rest > 0))

    def _audio(self) -> None:
        self.path.after(0.02, self._audio)
        self._send([AUDIO_BYTES])

    def _report(self) -> None:
        self.path.after(FEEDBACK_SECONDS, self._report)
        if not self._arrivals:
            return
        first, end = min(self._next_report, *self._arrivals), max(self._arrivals) + 1
        body = write_arrivals(first, [self._arrivals.get(number) for number in range(first, end)])
        self._arrivals.clear()
        self._next_report = end
        self.path.answer(lambda: self.estimate.receive(body, self.path.now))

    def _tick(self) -> None:
        """What is done every 0.25 s: choose the layer, and probe for the next one."""
        self.path.after(0.25, self._tick)
        self.estimate.handle_timers(self.path.now)
        if not self.bitrates:
            return
        fitting = [each for each in self.bitrates if each + 50_000 <= self.bandwidth_bps]
        chosen = float(fitting[-1] if fitting else self.bitrates[0])
        if chosen != self.bitrate_bps:
            self.switches.append((self.path.now, chosen))
            self.bitrate_bps = chosen
        above = [each for each in self.bitrates if each > chosen]
        wanted, number = above[0] + 50_000 if above else 0, self.estimate.history.next_number
        if above and self.estimate.probe.request(wanted, number, self.path.now, estimate_bps=self.bandwidth_bps):
            self._burst()

    def _burst(self) -> None:
        probe = self.estimate.probe
        size, seconds = probe.next_burst()
        if size == 0:
            if probe.is_sending:
                probe.sent(self.estimate.history.next_number, self.path.now)
            return
        self._send([size // max(1, size // PACKET_BYTES)] * max(1, size // PACKET_BYTES))
        is_late = self._asleep_seconds and self._random.random() < LATE_SHARE
        self.path.after(seconds + (self._random.expovariate(1 / self._asleep_seconds) if is_late else 0.0), self._burst)
