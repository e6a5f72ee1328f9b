"""Probes whether a path carries more than is sent: a short burst of padding, and whether a queue grows meanwhile.

A sender that is limited by its media learns nothing of the bandwidth above it. Before it sends a better layer, it sends
padding for a moment at the rate of that layer and a fifth more. Where the path carries less than the layer, a queue
grows meanwhile, and the packets wait in it. How long they would wait on a path that carries what is wanted, and on one
that carries no more than is known, follows from when they were sent. The packet whose delay is nearest to that of the
wider path decides. libwebrtc's ProbeBitrateEstimator takes the rate of the arrivals, which differs on a busy machine: a
receiver that is late by itself reads packets at once that came one after another. But it only adds delay, and seldom to
all packets; and a sender that is late sends less than it should, which shows nothing.

A probe is BURSTS bursts, some 50 ms in all, and shows at most MAX_STEP times of what is known. So one that fails delays
the media behind it by 30 to 50 ms, which the jitter buffer of audio takes. Where more is wanted, another one follows a
success. After a failure the next one waits, twice as long each time, up to MAX_WAIT_SECONDS.
"""

from typing import Final

BURSTS: Final = 6
BURST_SECONDS: Final = 0.01
MIN_BURST_BYTES: Final = 1200
"""One packet. A burst of a low bitrate takes longer than BURST_SECONDS."""
MAX_PROBE_BPS: Final = 12_000_000
"""A probe sends at most BURSTS * BURST_SECONDS of it: 90 kB."""
MAX_STEP: Final = 1.5
"""A probe shows at most so many times of the estimate."""
FIRST_WAIT_SECONDS: Final = 1.0
MAX_WAIT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 1.0
"""A probe whose end is not reported so long after it has failed."""
RETRY_SECONDS: Final = 0.5
"""When a probe that showed nothing is repeated."""
_EXCESS = 1.2
_MIN_STEP = 1.25
"""A path that carries less than what is wanted by this factor is told from one that carries it."""
_MAX_LOST_SHARE = 0.2
_MIN_DIFFERENCE_SECONDS = 0.008
"""A packet decides if the two paths would delay it by times that differ by so much."""
_MAX_SHARE_OF_DIFFERENCE = 0.25
"""Its delay may be above that of the wider path by so much of the difference."""
_LATE_SECONDS = 0.04
"""Frames that a line carries in time wait no longer for those before them."""
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
        self._received: list[tuple[float, float, int]] = []
        """When each packet was sent, its delay above that of the empty path, and its size in bytes."""
        self._known_bps = 0.0
        self._lost = 0

    def request(self, wanted_bps: int, first_number: int, now: float, *, estimate_bps: float) -> bool:
        """Ask whether the path carries so many bits per second in all. True if a probe begins: call `next_burst`.

        `first_number` is the transport-wide number, not wrapped, of the next packet. `estimate_bps` is what the path
        carries as far as it is known.
        """
        is_waiting = self.is_sending or self._range is not None
        if is_waiting or now < self._next_at:
            return False
        # A probe shows up to MAX_PROBE_BPS, also where more is wanted.
        most_bps = min(MAX_STEP * estimate_bps, MAX_PROBE_BPS / _EXCESS)
        self.wanted_bps, self._first_number = min(wanted_bps, int(most_bps)), first_number
        self.is_sending, self._bursts_left, self._known_bps = (
            True,
            BURSTS,
            min(estimate_bps, self.wanted_bps / _MIN_STEP),
        )
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

    def add(self, number: int, sent_at: float, delay_seconds: float | None, size_bytes: int) -> None:
        """Take the report of a packet: when it was sent, its delay above that of the empty path, None for a lost one,
        and its size."""
        if number >= self._first_number and (self._range is None or number < self._range[1]):
            if delay_seconds is None:
                self._lost += 1
            else:
                self._received.append((sent_at, delay_seconds, size_bytes))

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
        shown = self._shown_share()
        if shown is None:
            self._next_at = now + RETRY_SECONDS
            return None
        if not shown:
            self._fail(now)
            return None
        self._succeeded_at = now
        return shown * self.wanted_bps

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

    def _shown_share(self) -> float | None:
        """The share of what was wanted that the path has carried, 0 if less than all; None if that is not to be said,
        because the sender or the receiver was late."""
        received = sorted(self._received)
        if len(received) < BURSTS // 2 or self._lost > _MAX_LOST_SHARE * (len(received) + self._lost):
            return 0.0
        wide, narrow = _waits(received, self.wanted_bps), _waits(received, self._known_bps)
        # How far each delay is above that of the wider path, as a share of the difference.
        shares = [
            (delay - least) / (most - least)
            for (_, delay, _), least, most in zip(received, wide, narrow, strict=True)
            if most - least >= _MIN_DIFFERENCE_SECONDS
        ]
        if not shares:
            return None
        if min(shares) <= _MAX_SHARE_OF_DIFFERENCE:
            return _EXCESS if min(shares) < 0 else 1.0
        return None if min(delay for _, delay, _ in received) > _LATE_SECONDS else 0.0


def _waits(packets: list[tuple[float, float, int]], bitrate_bps: float) -> list[float]:
    """How long each packet would wait in the queue of a path that carries so much, in seconds."""
    waits: list[float] = []
    free_at = float("-inf")
    for sent_at, _, size_bytes in packets:
        waits.append(max(0.0, free_at - sent_at))
        free_at = max(free_at, sent_at) + size_bytes * 8 / bitrate_bps
    return waits
