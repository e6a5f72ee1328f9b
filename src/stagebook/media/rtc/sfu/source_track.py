"""One track of a source: a continuous RTP stream that all viewers follow, whichever publisher sends it.

The track sends every packet to the down tracks of its viewers and keeps the last packets for retransmission (NACK, RFC
4585 section 6.2.1). A new viewer cannot start at any packet: video has to start with a keyframe. How that keyframe is
obtained depends on the publisher, so the two subclasses decide when a down track goes live: `PublishedTrack` requests a
keyframe from a WebRTC publisher, `EncoderTrack` replays the cached GOP.

Each viewer sees its own sequence numbers: the source's number plus the down track's `sequence_offset`. Timestamps are
the same for all viewers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import sequence_distance
from stagebook.media.rtc.sfu.down_track import DownTrack, fan_out

HISTORY_PACKETS = 1024
"""Packets kept for retransmission: one second at 8.5 Mbit/s, seven seconds at 1.5 Mbit/s."""
_RECENT_PACKETS = 0x4000
_START_SPREAD_PACKETS = 0x4000


class SentPacket(NamedTuple):
    """One sent packet. `sequence` is the source's number, or, in a GOP replay, the one viewer's own number."""

    sequence: int
    marker: int
    timestamp: int
    payload: bytes


class _StartPoint(NamedTuple):
    """Where a down track went live: the source's sequence number and counters at that packet."""

    sequence: int
    packets: int
    octets: int
    """Reduced by what the viewer had been sent before it went live."""


class SourceTrack(ABC):
    """One continuous stream of a source to the down tracks of all viewers."""

    def __init__(self, *, kind: MediaKind, codec: Codec, clock_rate: int, random_bits: Callable[[int], int]) -> None:
        """`random_bits` returns a random integer of so many bits."""
        self.kind = kind
        self.codec = codec
        self.clock_rate = clock_rate
        self.packets = self.octets = 0
        """Packets and payload bytes of the whole stream so far."""
        self._random_bits = random_bits
        self._history: list[SentPacket | None] = [None] * HISTORY_PACKETS
        self._newest: SentPacket | None = None
        self._newest_at = 0.0
        self._live: list[DownTrack] = []
        self._starts: dict[DownTrack, _StartPoint] = {}
        """The start point of each live down track."""

    @abstractmethod
    def add(self, down_track: DownTrack, now: float) -> None:
        """Start sending to a down track whose connection is up: video with a keyframe, which may take a while. Call it
        once for a down track."""

    @abstractmethod
    def handle_keyframe_request(self, down_track: DownTrack, now: float) -> None:
        """A viewer sent a PLI or FIR (RFC 4585 section 6.3.1, RFC 5104 section 4.3.1): it cannot decode the video.

        The caller has applied the viewer's own budget. Throttled here for all viewers together. No effect on audio.
        """

    def remove(self, down_track: DownTrack) -> None:
        """Stop sending to a down track. A down track that was never added is ignored."""
        if self._starts.pop(down_track, None) is not None:
            self._live.remove(down_track)

    def has_started(self, down_track: DownTrack) -> bool:
        """Whether the down track has been sent its first packet."""
        return down_track in self._starts

    def sent_octets(self, down_track: DownTrack) -> int:
        """Payload bytes sent to a down track, for its sender reports. Raises KeyError unless it `has_started`."""
        return self.octets - self._starts[down_track].octets

    def find_sent(self, down_track: DownTrack, sequence: int) -> SentPacket | None:
        """The packet that the viewer received as `sequence`. None if the history no longer holds it, or if it was sent
        before the viewer's start."""
        start = self._starts.get(down_track)
        if start is None:
            return None
        wanted = (sequence - down_track.sequence_offset) & 0xFFFF
        # After 2^14 packets the history holds nothing from before the start, and the 16-bit distance would be
        # ambiguous.
        if self.packets - start.packets < _RECENT_PACKETS and sequence_distance(wanted, start.sequence) < 0:
            return None
        packet = self._history[wanted % HISTORY_PACKETS]
        return packet if packet is not None and packet.sequence == wanted else None

    def timestamp_at(self, now: float) -> int | None:
        """The outgoing RTP timestamp at `now`, extrapolated from the last packet by the track's clock rate. None before
        the first packet."""
        if self._newest is None:
            return None
        return (self._newest.timestamp + int((now - self._newest_at) * self.clock_rate)) & 0xFFFFFFFF

    # For the subclasses

    def _send(self, packet: SentPacket, now: float) -> None:
        """Send one packet to all live down tracks and add it to the history."""
        # A ring by the number itself: a lookup is one index, and a lost packet leaves the older one of its place, which
        # `find_sent` recognizes by its number.
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

    def _go_live(self, down_track: DownTrack, *, sequence: int, first: int, octets: int = 0) -> None:
        """Send the down track all packets from the source's `sequence` on.

        `first` is the viewer's own number for that packet. `octets` counts the payload bytes that it was sent before.
        """
        down_track.sequence_offset = first - sequence
        self._starts[down_track] = _StartPoint(sequence, self.packets, self.octets - octets)
        self._live.append(down_track)

    def _first_sequence(self) -> int:
        """The first sequence number of a new viewer: random (RFC 3550 section 5.1), in the lower quarter of 16 bits."""
        # A receiver that misses the first packets just before the number wraps would guess the wrong SRTP roll-over
        # counter and could not decrypt anything after it (RFC 3711 section 3.3.1).
        return self._random_bits(16) % _START_SPREAD_PACKETS
