"""The pacer of one viewer's video: it sends bursts no faster than the viewer's line carries.

A keyframe is as large as ten to fifty other frames. Where it is sent at once, it fills the queue of a narrow line, and
the audio behind it comes too late to be played. With the pacer it waits here, and the audio, which has a track and a
queue of its own, passes it.

A viewer has a pacer when its connection begins and while its line limits its video (`simulcast.layer_allocation`).
All other viewers are sent batches of their track together (`send_queue`), which costs less.

A packet waits no longer than about MAX_WAIT_SECONDS: what takes longer is sent faster. What waits can be dropped when
the viewer is to be sent another layer instead. Nothing of it has been sent, so the stream continues without a gap.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.sending.fan_out import fan_out
from stagebook.media.rtc.sfu.sending.send_schedule import ScheduledCall, SendSchedule
from stagebook.media.rtc.sfu.sending.sent_packet import SentPacket
from stagebook.media.rtc.sfu.simulcast.layer_meter import PACKET_OVERHEAD_BYTES

MAX_WAIT_SECONDS: Final = 0.5
"""Browsers' jitter buffers of video grow by so much after one late keyframe."""
STEP_SECONDS: Final = 0.005
"""The least time between two sendings."""
MAX_CREDIT_SECONDS: Final = 0.02
"""A timer that is late by no more than this is made up for."""
LIMITED_SECONDS: Final = 3.0
"""How long a pacer stays in use after `limit`: the first keyframe of a better layer still passes it."""


class ViewerPacer:
    """What waits to be sent to one down track. It is in use from `limit` on until `handle_timers` or `stop` ends it."""

    def __init__(self, down_track: DownTrack, *, schedule: SendSchedule, rate: Callable[[], float | None]) -> None:
        """`rate` returns the bits per second of the video; None: send at once."""
        self._down_track = down_track
        self._schedule = schedule
        self._rate = rate
        self._items: deque[tuple[float, SentPacket]] = deque()
        """When each packet was put, and the packet with the viewer's own number."""
        self._queued_bits = 0
        self._free_at = 0.0
        """When the line has carried what was sent."""
        self._timer: ScheduledCall | None = None
        self._limited_at = float("-inf")

    @property
    def is_used(self) -> bool:
        """Whether the down track's packets pass the pacer."""
        return self._down_track.pacer is self

    @property
    def queued_packets(self) -> int:
        """The number of packets that wait."""
        return len(self._items)

    def wait_seconds(self) -> float:
        """How long what waits takes at the rate."""
        rate_bps = self._rate()
        return 0.0 if rate_bps is None else self._queued_bits / rate_bps

    def limit(self, now: float) -> None:
        """The line of the viewer is, or may be, narrow: take the packets that are put from now on."""
        self._limited_at = now
        if not self.is_used:
            self._down_track.pacer = self
            self._schedule.paced += 1

    def handle_timers(self, now: float) -> None:
        """End the use LIMITED_SECONDS after the last call of `limit`, when nothing waits. Called a few times a
        second."""
        if self.is_used and not self._items and now - self._limited_at > LIMITED_SECONDS:
            self.stop()

    def stop(self) -> None:
        """Take no more packets. Those that wait are forgotten."""
        self.drop()
        if self.is_used:
            self._down_track.pacer = None
            self._schedule.paced -= 1

    def put(self, packets: Sequence[SentPacket], now: float) -> None:
        """Send packets in their order, behind those that wait."""
        offset = self._down_track.sequence_offset
        for packet in packets:
            # The offset may be another one when the packet is sent.
            own = packet._replace(sequence=(packet.sequence + offset) & 0xFFFF)
            self._items.append((now, own))
            self._queued_bits += _bits(own)
        if self._timer is None:
            self._send_due(now)

    def drop(self) -> tuple[int, int]:
        """Drop what waits. Returns the number of packets, and their bytes of payload."""
        dropped = len(self._items), sum(len(packet.payload) for _, packet in self._items)
        self._items.clear()
        self._queued_bits = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return dropped

    def _send_due(self, now: float) -> None:
        """Send what the rate allows, and schedule the next step."""
        self._timer = None
        items, rate_bps = self._items, self._rate()
        if items and rate_bps is not None:
            left_seconds = max(STEP_SECONDS, items[0][0] + MAX_WAIT_SECONDS - now)
            rate_bps = max(rate_bps, self._queued_bits / left_seconds)
        self._free_at = max(self._free_at, now - MAX_CREDIT_SECONDS)
        batch: list[SentPacket] = []
        offset = self._down_track.sequence_offset
        while items and (rate_bps is None or self._free_at <= now):
            packet = items.popleft()[1]
            bits = _bits(packet)
            self._queued_bits -= bits
            self._free_at += 0.0 if rate_bps is None else bits / rate_bps
            batch.append(packet._replace(sequence=(packet.sequence - offset) & 0xFFFF))
        if items:
            self._timer = self._schedule.call_later(max(STEP_SECONDS, self._free_at - now), self._send_due)
        if batch:
            fan_out([self._down_track], batch, now=now)


def _bits(packet: SentPacket) -> int:
    return 8 * (len(packet.payload) + PACKET_OVERHEAD_BYTES)
