"""Probes whether a path carries more than is sent: a short burst of padding, and how fast it arrives.

A sender that is limited by its media learns nothing of the bandwidth above it. Before it sends a better layer, it sends
padding for a moment at the rate of that layer and a fifth more. If what arrives arrives at least at that layer's rate,
the path carries it (as libwebrtc's ProbeController and ProbeBitrateEstimator do).

A probe is BURSTS bursts, some 50 ms in all, whatever the bitrate. So one that fails delays the media behind it by no
more than that. After a failure the next one waits, twice as long each time, up to MAX_WAIT_SECONDS.
"""

from typing import Final

BURSTS: Final = 6
BURST_SECONDS: Final = 0.01
MIN_BURST_BYTES: Final = 1200
"""One packet. A burst of a low bitrate takes longer than BURST_SECONDS."""
MAX_PROBE_BPS: Final = 12_000_000
"""A probe sends at most BURSTS * BURST_SECONDS of it: 90 kB."""
FIRST_WAIT_SECONDS: Final = 1.0
MAX_WAIT_SECONDS: Final = 6.0
ANSWER_SECONDS: Final = 1.0
"""A probe whose end is not reported so long after it has failed."""
_EXCESS = 1.2
_MAX_LOST_SHARE = 0.2
_REGRET_SECONDS = 3.0
"""Overuse so soon after a success means that the probe was wrong."""


class BandwidthProbe:
    """The probes of one connection."""

    def __init__(self) -> None:
        self.wanted_bps = 0
        """What the current or last probe is to show."""
        self.is_sending = False
        self.padding_bytes = 0
        """What probes have sent so far."""
        self._bursts_left = 0
        self._range: tuple[int, int] | None = None
        """The numbers of the packets of the probe, not wrapped: first and end, once all are sent."""
        self._first_number = 0
        self._answer_until = 0.0
        self._wait_seconds = FIRST_WAIT_SECONDS
        self._next_at = float("-inf")
        self._succeeded_at = float("-inf")
        self._received: list[tuple[float, int]] = []
        self._lost = 0

    def request(self, wanted_bps: int, first_number: int, now: float) -> bool:
        """Ask whether the path carries so many bits per second in all. True if a probe begins: call `next_burst`.

        `first_number` is the transport-wide number, not wrapped, of the next packet.
        """
        is_waiting = self.is_sending or self._range is not None
        if is_waiting or now < self._next_at:
            return False
        # A probe shows up to MAX_PROBE_BPS, also where more is wanted.
        self.wanted_bps, self._first_number = min(wanted_bps, int(MAX_PROBE_BPS / _EXCESS)), first_number
        self.is_sending, self._bursts_left = True, BURSTS
        self._received, self._lost = [], 0
        return True

    def next_burst(self) -> tuple[int, float]:
        """The bytes of padding to send at once, and after how many seconds to call again. (0, 0.0) after the last."""
        if self._bursts_left == 0:
            return 0, 0.0
        self._bursts_left -= 1
        goal_bps = self.wanted_bps * _EXCESS
        size_bytes = max(MIN_BURST_BYTES, int(goal_bps * BURST_SECONDS / 8))
        self.padding_bytes += size_bytes
        return size_bytes, size_bytes * 8 / goal_bps

    def sent(self, end_number: int, now: float) -> None:
        """All bursts are sent, or the probe was stopped. `end_number` is the number behind the last packet."""
        self.is_sending = False
        self._range = self._first_number, end_number
        self._answer_until = now + ANSWER_SECONDS

    def add(self, number: int, arrived_at: float | None, size_bytes: int) -> None:
        """Take the report of a packet: its arrival on the peer's clock in seconds, None for a lost one."""
        if number >= self._first_number and (self._range is None or number < self._range[1]):
            if arrived_at is None:
                self._lost += 1
            else:
                self._received.append((arrived_at, size_bytes))

    @property
    def is_pending(self) -> bool:
        """Whether reports of packets are still of use."""
        return self.is_sending or self._range is not None

    def result(self, reported_end: int, now: float) -> float | None:
        """The bitrate that a successful probe has shown; None without one. Packets before `reported_end` are reported.

        Each success or failure is returned, or counted, once.
        """
        if self._range is None or (reported_end < self._range[1] and now < self._answer_until):
            return None
        self._range = None
        rate_bps = self._arrival_rate()
        if rate_bps is None or rate_bps < self.wanted_bps:
            self._fail(now)
            return None
        self._succeeded_at = now
        return min(rate_bps, self.wanted_bps * _EXCESS)

    def restart(self) -> None:
        """The path is another one: end a running probe without a result, and forget earlier failures."""
        self.is_sending, self._bursts_left, self._range = False, 0, None
        self._wait_seconds = FIRST_WAIT_SECONDS
        self._next_at = self._succeeded_at = float("-inf")

    def overused(self, end_number: int, now: float) -> None:
        """The path is overused: a running probe stops, and one that has just succeeded was wrong."""
        if self.is_sending:
            self._bursts_left = 0
            self.sent(end_number, now)
        if now - self._succeeded_at < _REGRET_SECONDS:
            self._succeeded_at = float("-inf")
            self._fail(now)
        self._next_at = max(self._next_at, now + FIRST_WAIT_SECONDS)

    def _fail(self, now: float) -> None:
        self._next_at = now + self._wait_seconds
        self._wait_seconds = min(self._wait_seconds * 2, MAX_WAIT_SECONDS)

    def settle(self, now: float) -> None:
        """Forget earlier failures where a success has lasted. Called now and then."""
        if _REGRET_SECONDS < now - self._succeeded_at < float("inf"):
            self._wait_seconds = FIRST_WAIT_SECONDS

    def _arrival_rate(self) -> float | None:
        """Bits per second between the first and the last packet that arrived."""
        received = sorted(self._received)
        if len(received) < BURSTS // 2 or self._lost > _MAX_LOST_SHARE * (len(received) + self._lost):
            return None
        seconds = max(received[-1][0] - received[0][0], 0.001)
        first_at = received[0][0]
        # Packets that arrived with the first one did not take the time that is measured.
        size_bytes = sum(size for at, size in received if at > first_at)
        return size_bytes * 8 / seconds
