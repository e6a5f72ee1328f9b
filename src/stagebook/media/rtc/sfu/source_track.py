"""One track of a source: a continuous RTP stream that all viewers follow, whichever publisher sends it.

The track sends every packet to the down tracks of its viewers and keeps the last packets for retransmission (NACK, RFC
4585 section 6.2.1). A new viewer cannot start at any packet: video has to start with a keyframe. How that keyframe is
obtained depends on the publisher, so the two subclasses decide when a down track goes live: `PublishedTrack` requests a
keyframe from a WebRTC publisher, `EncoderTrack` replays the cached GOP.

Each viewer sees its own sequence numbers: the source's number plus the down track's `sequence_offset`. Timestamps are
the same for all viewers, except for those that were sent another track of the source before: theirs are shifted, so
that they continue. Viewers with equal shifts are served together, so the loop over viewers does not compute timestamps.
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
    timestamp_offset: int
    """What is added to the source's timestamps, modulo 2^32."""


class EndedRun(NamedTuple):
    """What a track sent to a down track that another track serves now. It answers the viewer's NACKs for it."""

    track: "SourceTrack"
    start: _StartPoint
    sequence_offset: int
    next_sequence: int
    """The viewer's own number behind the last packet."""
    octets: int
    """Payload bytes sent to the viewer, in this run and before."""
    packets: int
    """The track's counter at the end."""

    def find_sent(self, sequence: int) -> SentPacket | None:
        """The packet that the viewer received as `sequence` in this run; None if it is no longer held."""
        # After 2^14 more packets the track holds nothing of the run, and its numbers would be ambiguous.
        if sequence_distance(sequence, self.next_sequence) >= 0 or self.track.packets - self.packets >= _RECENT_PACKETS:
            return None
        return self.track._find(sequence - self.sequence_offset, self.start)


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
        self._live: dict[int, list[DownTrack]] = {}
        """The live down tracks, by what is added to the timestamps."""
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
        start = self._starts.pop(down_track, None)
        if start is not None:
            live = self._live[start.timestamp_offset]
            live.remove(down_track)
            if not live:
                del self._live[start.timestamp_offset]

    def end_run(self, down_track: DownTrack) -> EndedRun:
        """Stop sending to a live down track, which another track continues. Raises KeyError unless it `has_started`."""
        start = self._starts[down_track]
        newest = start.sequence if self._newest is None else self._newest.sequence
        ended = EndedRun(
            track=self,
            start=start,
            sequence_offset=down_track.sequence_offset,
            next_sequence=(newest + down_track.sequence_offset + 1) & 0xFFFF,
            octets=self.sent_octets(down_track),
            packets=self.packets,
        )
        self.remove(down_track)
        return ended

    def has_started(self, down_track: DownTrack) -> bool:
        """Whether the down track has been sent its first packet."""
        return down_track in self._starts

    def sent_octets(self, down_track: DownTrack) -> int:
        """Payload bytes sent to a down track, for its sender reports. Raises KeyError unless it `has_started`."""
        return self.octets - self._starts[down_track].octets

    def timestamp_offset(self, down_track: DownTrack) -> int:
        """What is added to the track's timestamps for a down track, modulo 2^32; 0 for one that is not live."""
        start = self._starts.get(down_track)
        return 0 if start is None else start.timestamp_offset

    def find_sent(self, down_track: DownTrack, sequence: int) -> SentPacket | None:
        """The packet that the viewer received as `sequence`. None if the history no longer holds it, or if it was sent
        before the viewer's start."""
        start = self._starts.get(down_track)
        return None if start is None else self._find(sequence - down_track.sequence_offset, start)

    def timestamp_at(self, now: float) -> int | None:
        """The outgoing RTP timestamp at `now`, extrapolated from the last packet by the track's clock rate. None before
        the first packet."""
        if self._newest is None:
            return None
        return (self._newest.timestamp + int((now - self._newest_at) * self.clock_rate)) & 0xFFFFFFFF

    # For the subclasses

    def _send(self, packet: SentPacket, now: float, *, is_late: bool = False) -> None:
        """Send one packet to all live down tracks and add it to the history. A late packet is behind the newest one."""
        # A ring by the number itself: a lookup is one index, and a lost packet leaves the older one of its place, which
        # `find_sent` recognizes by its number.
        self._history[packet.sequence % HISTORY_PACKETS] = packet
        self.packets += 1
        self.octets += len(packet.payload)
        live = self._live
        if is_late:
            live = self._live_since(packet.sequence)
        else:
            self._newest, self._newest_at = packet, now
        for offset, down_tracks in live.items():
            fan_out(
                down_tracks,
                sequence=packet.sequence,
                marker=packet.marker,
                timestamp=(packet.timestamp + offset) & 0xFFFFFFFF,
                payload=packet.payload,
            )

    def _live_since(self, sequence: int) -> dict[int, list[DownTrack]]:
        """The live down tracks that started at the source's `sequence` or before. The numbers before its start may
        belong to another packet of the viewer's stream."""
        return {
            offset: [each for each in down_tracks if not self._is_before(sequence, self._starts[each])]
            for offset, down_tracks in self._live.items()
        }

    def _is_before(self, sequence: int, start: _StartPoint) -> bool:
        """Whether a number of the source is from before a start point."""
        # After 2^14 packets the history holds nothing from before the start, and the 16-bit distance would be
        # ambiguous.
        return self.packets - start.packets < _RECENT_PACKETS and sequence_distance(sequence, start.sequence) < 0

    def _find(self, sequence: int, start: _StartPoint) -> SentPacket | None:
        """The packet with a number of the source, modulo 2^16, as a viewer with this start point received it."""
        wanted = sequence & 0xFFFF
        packet = self._history[wanted % HISTORY_PACKETS]
        if packet is None or packet.sequence != wanted or self._is_before(wanted, start):
            return None
        if not start.timestamp_offset:
            return packet
        return packet._replace(timestamp=(packet.timestamp + start.timestamp_offset) & 0xFFFFFFFF)

    def _go_live(
        self, down_track: DownTrack, *, sequence: int, first: int, octets: int = 0, timestamp_offset: int = 0
    ) -> None:
        """Send the down track all packets from the source's `sequence` on.

        `first` is the viewer's own number for that packet. `octets` counts the payload bytes that it was sent before.
        `timestamp_offset` is added to the timestamps.
        """
        down_track.sequence_offset = first - sequence
        self._starts[down_track] = _StartPoint(sequence, self.packets, self.octets - octets, timestamp_offset)
        self._live.setdefault(timestamp_offset, []).append(down_track)

    def _first_sequence(self) -> int:
        """The first sequence number of a new viewer: random (RFC 3550 section 5.1), in the lower quarter of 16 bits."""
        # A receiver that misses the first packets just before the number wraps would guess the wrong SRTP roll-over
        # counter and could not decrypt anything after it (RFC 3711 section 3.3.1).
        return self._random_bits(16) % _START_SPREAD_PACKETS
