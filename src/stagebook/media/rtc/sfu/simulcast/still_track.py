"""The keyframes of a track alone, sent slowly: still pictures for viewers whose lines carry no more than that.

A keyframe is collected until it is complete, and then sent packet by packet with STILL_BPS. One that begins while
another is being sent is left out. The stream has numbers of its own without gaps. Its timestamps are those of the
moments at which the last packets are sent: with earlier ones, receivers would take the pictures for late, and delay the
audio as well.

A viewer comes and goes at keyframes. Who asks for keyframes, and how seldom, is up to `LayerAllocation`.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from stagebook.media.codecs.vp8_descriptor import parse_descriptor
from stagebook.media.rtc.sfu.sending.sent_packet import SentPacket
from stagebook.media.rtc.sfu.simulcast.layer_allocator import STILLS
from stagebook.media.rtc.sfu.simulcast.layer_meter import PACKET_OVERHEAD_BYTES
from stagebook.media.rtc.sfu.simulcast.picture_layers import PictureLayer
from stagebook.media.rtc.sfu.simulcast.switchable_track import SwitchableTrack
from stagebook.media.rtc.sfu.simulcast.thinned_track import ThinnedTrack

STILL_BPS: Final = 200_000
"""A picture of 50 KB takes two seconds."""
MAX_KEYFRAME_PACKETS: Final = 1024
"""A larger keyframe is left out."""
_MAX_LEAD_SECONDS: Final = 5.0


class StillTrack(ThinnedTrack):
    """The keyframes of a track."""

    def __init__(self, whole: SwitchableTrack, *, random_bits: Callable[[int], int]) -> None:
        super().__init__(whole, STILLS, random_bits=random_bits)
        self.completed_at = float("-inf")
        """When the last keyframe was complete."""
        self._collected: dict[int, SentPacket] = {}
        """Packets of the keyframe that is being received, by their numbers in the whole track."""
        self._first = 0
        self._last: int | None = None
        """The numbers of its first and its last packet."""
        self._start = PictureLayer()
        self._pending: deque[SentPacket] = deque()
        """What is being sent."""
        self._next_sequence = 0
        self._newest_still: tuple[int, float] | None = None

    @property
    def newest(self) -> tuple[int, float] | None:
        """The newest timestamp, and when its picture was complete. None before the first one."""
        return self._newest_still

    def has_viewers(self) -> bool:
        """Whether viewers are sent stills, or wait for the first one."""
        return bool(self._starts or self._waiting)

    def request_keyframe(self, now: float) -> None:
        """Nothing: each keyframe costs the other viewers bits."""

    def prepare(self, packet: SentPacket, layer: PictureLayer, now: float, *, is_late: bool) -> None:
        """Take a packet that the whole track is about to send."""
        timestamp = next(iter(self._collected.values())).timestamp if self._collected else None
        if layer.starts_keyframe and not is_late and packet.timestamp != timestamp:
            self._collected, self._first, self._last, self._start = {}, packet.sequence, None, layer
        elif packet.timestamp != timestamp:
            return
        if self._pending or len(self._collected) >= MAX_KEYFRAME_PACKETS:
            self._collected = {}
            return
        self._collected[packet.sequence] = packet
        if packet.marker:
            self._last = packet.sequence
        if self._last is not None and len(self._collected) == ((self._last - self._first) & 0xFFFF) + 1:
            self._complete(now)

    def _complete(self, now: float) -> None:
        """Send the keyframe that has been collected."""
        first = self._first
        packets = [packet for _, packet in sorted(self._collected.items(), key=lambda item: (item[0] - first) & 0xFFFF)]
        self._collected, self.completed_at = {}, now
        size = sum(len(packet.payload) + PACKET_OVERHEAD_BYTES for packet in packets)
        lead = round(min(_MAX_LEAD_SECONDS, 8 * size / STILL_BPS) * self.clock_rate)
        timestamp = (packets[0].timestamp + lead) & 0xFFFFFFFF
        self._newest_still = timestamp, now + lead / self.clock_rate
        self._pictures.switch()
        for packet in packets:
            descriptor = None if self._start.vp8 is None else parse_descriptor(packet.payload)
            payload = self._pictures.rewrite(packet.payload, descriptor)
            self._pending.append(SentPacket(self._next_sequence, packet.marker, timestamp, payload))
            self._next_sequence = (self._next_sequence + 1) & 0xFFFF
        self._start_waiting(self._pending[0], self._start, self._pictures.newest, now, is_late=False)
        self._sent_picture = self._pictures.newest
        self._send_pending(now)

    def _send_pending(self, now: float) -> None:
        """Send a packet, and the next one when the line has carried it."""
        while self._pending:
            packet = self._pending.popleft()
            self._send(packet, now)
            if not self.has_viewers():
                # Nobody would see the rest of the picture.
                self._pending.clear()
            elif self.schedule is not None and self._pending:
                seconds = 8 * (len(packet.payload) + PACKET_OVERHEAD_BYTES) / STILL_BPS
                self.schedule.call_later(seconds, self._send_pending)
                return
