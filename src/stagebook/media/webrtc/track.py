"""One track of a source: the continuous stream that viewers follow, whoever publishes it just now.

It restamps what comes (from another publisher, another layer) into one stream, keeps the last packets for
retransmission, and sends every packet to its viewers' outlets. Knows no connection and no RTCP.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from stagebook.media.webrtc.codec import Codec, Kind
from stagebook.media.webrtc.fanout import MAX_PAYLOAD_SIZE_BYTES, Outlet, fan_out
from stagebook.media.webrtc.restamp import Restamper
from stagebook.media.webrtc.rtp import sequence_distance

HISTORY_PACKETS = 1024
"""Kept for retransmission: a second of 8.5 Mbit/s, seven of 1.5 Mbit/s."""
_RECENT_PACKETS = 0x4000
_START_SPREAD_PACKETS = 0x4000


class SentPacket(NamedTuple):
    """One packet of a track as it went out, before each viewer's own numbers."""

    sequence: int
    marker: int
    timestamp: int
    payload: bytes


class Feed(Protocol):
    """Who feeds a track now: one track of a publisher's connection."""

    def request_keyframe(self, now: float) -> None:
        """Ask the publisher for a keyframe, throttled."""


class SourceTrack:
    """One continuous stream of a source: what `feed` sends, restamped, to the outlets of all viewers."""

    def __init__(self, *, kind: Kind, codec: Codec, clock_rate: int, random_bits: Callable[[int], int]) -> None:
        self.kind = kind
        self.codec = codec
        self.clock_rate = clock_rate
        self.feed: Feed | None = None
        self.packets = self.octets = 0
        """Sent so far to a viewer that was there from the start."""
        self._random_bits = random_bits
        self._restamper = Restamper(clock_rate=clock_rate)
        self._history: list[SentPacket | None] = [None] * HISTORY_PACKETS
        self._newest: SentPacket | None = None
        self._newest_at = 0.0
        self._live: list[Outlet] = []
        self._waiting: list[Outlet] = []
        self._starts: dict[Outlet, tuple[int, int, int]] = {}
        """Of each live outlet: the source's first sequence number, packets and octets at its start."""

    # Viewers

    def add(self, outlet: Outlet, now: float) -> None:
        """Begin to send to an outlet whose connection is up; video begins with the next keyframe."""
        self._waiting.append(outlet)
        self.request_keyframe(now)

    def remove(self, outlet: Outlet) -> None:
        """Send no more to an outlet. One that was never added is fine."""
        for outlets in (self._live, self._waiting):
            if outlet in outlets:
                outlets.remove(outlet)
        self._starts.pop(outlet, None)

    def request_keyframe(self, now: float) -> None:
        """Ask whoever feeds this track for a keyframe; audio has none."""
        if self.feed is not None and self.kind is Kind.VIDEO:
            self.feed.request_keyframe(now)

    def is_live(self, outlet: Outlet) -> bool:
        """Whether an outlet is being sent to: it has had its first packet."""
        return outlet in self._starts

    def sent_octets(self, outlet: Outlet) -> int:
        """The payload bytes sent to a live outlet, for its sender reports."""
        return self.octets - self._starts[outlet][2]

    def sent(self, outlet: Outlet, sequence: int) -> SentPacket | None:
        """The packet that a viewer knows by `sequence`; None if it is not kept or was before its start."""
        start = self._starts.get(outlet)
        if start is None:
            return None
        wanted = (sequence - outlet.sequence_offset) & 0xFFFF
        first, packets, _ = start
        # Beyond 2^14 packets the start is so long ago that nothing from before it can be in the history.
        if self.packets - packets < _RECENT_PACKETS and sequence_distance(wanted, first) < 0:
            return None
        packet = self._history[wanted % HISTORY_PACKETS]
        return packet if packet is not None and packet.sequence == wanted else None

    # The publisher

    def switch(self, *, sequence: int, timestamp: int, now: float) -> None:
        """Another stream follows, from the packet with these numbers on."""
        self._restamper.switch(sequence=sequence, timestamp=timestamp, now=now)

    def forward(
        self, *, sequence: int, marker: int, timestamp: int, payload: bytes, now: float, begins: bool
    ) -> int | None:
        """Send one packet of the stream now followed. `begins`: a viewer can begin with it (a keyframe's first packet,
        any packet of audio). Returns its outgoing timestamp; None if it was from before the switch or too large."""
        stamped = self._restamper.stamp(sequence=sequence, timestamp=timestamp, now=now)
        if stamped is None or len(payload) > MAX_PAYLOAD_SIZE_BYTES:
            return None
        packet = SentPacket(stamped[0], marker, stamped[1], payload)
        self._history[packet.sequence % HISTORY_PACKETS] = packet
        if self._waiting:
            if begins:
                self._start_waiting(packet.sequence)
            else:
                self.request_keyframe(now)
        self.packets += 1
        self.octets += len(payload)
        self._newest, self._newest_at = packet, now
        fan_out(self._live, sequence=packet.sequence, marker=marker, timestamp=packet.timestamp, payload=payload)
        return packet.timestamp

    def outgoing_timestamp(self, timestamp: int) -> int:
        """The outgoing timestamp for one of the stream now followed (as in its sender report)."""
        return self._restamper.timestamp(timestamp)

    def timestamp_at(self, now: float) -> int | None:
        """The outgoing timestamp of this moment, reckoned from the last packet; None before the first."""
        if self._newest is None:
            return None
        return (self._newest.timestamp + int((now - self._newest_at) * self.clock_rate)) & 0xFFFFFFFF

    def _start_waiting(self, sequence: int) -> None:
        for outlet in self._waiting:
            # In the lower quarter: a receiver that misses the first packets just before a wrap would take the wrong
            # roll-over counter and could decrypt nothing any more (RFC 3711 section 3.3.1).
            first = self._random_bits(16) % _START_SPREAD_PACKETS
            outlet.sequence_offset = first - sequence
            self._starts[outlet] = (sequence, self.packets, self.octets)
            self._live.append(outlet)
        self._waiting.clear()
