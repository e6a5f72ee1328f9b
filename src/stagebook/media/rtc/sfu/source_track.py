"""One track of a source: the continuous stream that viewers follow, whoever publishes it just now.

It keeps the last packets for retransmission, and sends every packet to its viewers' outlets. Where a viewer begins
depends on what feeds it (`published_track`, `fed_track`). Knows no connection and no RTCP.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import sequence_distance
from stagebook.media.rtc.sfu.down_track import DownTrack, fan_out

HISTORY_PACKETS = 1024
"""Kept for retransmission: a second of 8.5 Mbit/s, seven of 1.5 Mbit/s."""
_RECENT_PACKETS = 0x4000
_START_SPREAD_PACKETS = 0x4000


class SentPacket(NamedTuple):
    """One packet as it went out: of a track before each viewer's own numbers, or of one viewer's catching up."""

    sequence: int
    marker: int
    timestamp: int
    payload: bytes


class _Start(NamedTuple):
    """Where an outlet became live: the source's sequence number then, and the source's counters."""

    sequence: int
    packets: int
    octets: int
    """Less what the viewer was sent before."""


class SourceTrack(ABC):
    """One continuous stream of a source to the outlets of all viewers."""

    def __init__(self, *, kind: MediaKind, codec: Codec, clock_rate: int, random_bits: Callable[[int], int]) -> None:
        self.kind = kind
        self.codec = codec
        self.clock_rate = clock_rate
        self.packets = self.octets = 0
        """Sent so far to a viewer that was there from the start."""
        self._random_bits = random_bits
        self._history: list[SentPacket | None] = [None] * HISTORY_PACKETS
        self._newest: SentPacket | None = None
        self._newest_at = 0.0
        self._live: list[DownTrack] = []
        self._starts: dict[DownTrack, _Start] = {}
        """Of each live outlet."""

    @abstractmethod
    def add(self, outlet: DownTrack, now: float) -> None:
        """Begin to send to an outlet whose connection is up; video begins with a keyframe."""

    @abstractmethod
    def refresh(self, outlet: DownTrack, now: float) -> None:
        """A viewer has lost its picture: let a keyframe come, throttled. Audio has none."""

    def remove(self, outlet: DownTrack) -> None:
        """Send no more to an outlet. One that was never added is fine."""
        if self._starts.pop(outlet, None) is not None:
            self._live.remove(outlet)

    def is_live(self, outlet: DownTrack) -> bool:
        """Whether an outlet is being sent to: it has had its first packet."""
        return outlet in self._starts

    def sent_octets(self, outlet: DownTrack) -> int:
        """The payload bytes sent to a live outlet, for its sender reports."""
        return self.octets - self._starts[outlet].octets

    def sent(self, outlet: DownTrack, sequence: int) -> SentPacket | None:
        """The packet that a viewer knows by `sequence`; None if it is not kept or was before its start."""
        start = self._starts.get(outlet)
        if start is None:
            return None
        wanted = (sequence - outlet.sequence_offset) & 0xFFFF
        # Beyond 2^14 packets the start is so long ago that nothing from before it can be in the history.
        if self.packets - start.packets < _RECENT_PACKETS and sequence_distance(wanted, start.sequence) < 0:
            return None
        packet = self._history[wanted % HISTORY_PACKETS]
        return packet if packet is not None and packet.sequence == wanted else None

    def timestamp_at(self, now: float) -> int | None:
        """The outgoing timestamp of this moment, reckoned from the last packet; None before the first."""
        if self._newest is None:
            return None
        return (self._newest.timestamp + int((now - self._newest_at) * self.clock_rate)) & 0xFFFFFFFF

    # For what feeds it

    def _send(self, packet: SentPacket, now: float) -> None:
        """Send one packet to all live outlets, and keep it."""
        self._history[packet.sequence % HISTORY_PACKETS] = packet
        self.packets += 1
        self.octets += len(packet.payload)
        self._newest, self._newest_at = packet, now
        fan_out(
            self._live,
            sequence=packet.sequence,
            marker=packet.marker,
            timestamp=packet.timestamp,
            payload=packet.payload,
        )

    def _go_live(self, outlet: DownTrack, *, sequence: int, first: int, octets: int = 0) -> None:
        """Let an outlet have all packets from the source's `sequence` on, which it will know as `first`. `octets`: what
        it was sent before."""
        outlet.sequence_offset = first - sequence
        self._starts[outlet] = _Start(sequence, self.packets, self.octets - octets)
        self._live.append(outlet)

    def _first_number(self) -> int:
        """The first sequence number of a new viewer."""
        # In the lower quarter: a receiver that misses the first packets just before a wrap would take the wrong
        # roll-over counter and could decrypt nothing any more (RFC 3711 section 3.3.1).
        return self._random_bits(16) % _START_SPREAD_PACKETS
