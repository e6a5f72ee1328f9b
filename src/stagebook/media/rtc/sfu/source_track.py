"""One track of a source: a continuous RTP stream that all viewers follow, whichever publisher sends it.

The track sends every packet to the down tracks of its viewers and keeps the last packets for retransmission (NACK, RFC
4585 section 6.2.1). A new viewer cannot start at any packet: video has to start with a keyframe. How that keyframe is
obtained depends on the publisher, so the two subclasses decide when a down track goes live: `PublishedTrack` requests a
keyframe from a WebRTC publisher, `EncoderTrack` replays the cached GOP.

Each viewer sees its own sequence numbers: the source's number plus the down track's `sequence_offset`. Timestamps and
the numbers of VP8's pictures are the same for all viewers, except for those that were sent another track of the source
before: theirs are shifted, so that they continue. Viewers with equal shifts are served together, so the loop over
viewers computes none of them.

The packets pass a queue (`sending.send_queue`), which makes batches of them and paces bursts.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.red_payload import pack_red
from stagebook.media.rtc.rtp.rtp_packet import sequence_distance
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.sending.send_queue import SendQueue
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.sending.sent_packet import NO_SHIFT, SentPacket, Shift

HISTORY_PACKETS = 1024
"""Packets kept for retransmission: one second at 8.5 Mbit/s, seven seconds at 1.5 Mbit/s."""
REPEATED_FRAMES = 2
"""Of audio with redundancy. Where lost packets come in runs, one would be lost with the packet that it repeats."""
_RECENT_PACKETS = 0x4000
_START_SPREAD_PACKETS = 0x4000


class _StartPoint(NamedTuple):
    """Where a down track went live: the source's sequence number and counters at that packet."""

    sequence: int
    packets: int
    octets: int
    """Reduced by what the viewer had been sent before it went live."""
    shift: Shift


class EndedRun(NamedTuple):
    """What a track sent to a down track that it serves no longer. It answers the viewer's NACKs for it."""

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

    def __init__(
        self,
        *,
        kind: MediaKind,
        codec: Codec,
        clock_rate: int,
        random_bits: Callable[[int], int],
        schedule: SendSchedule | None = None,
    ) -> None:
        """`random_bits` returns a random integer of so many bits. Without a schedule each packet is sent at once, as
        those of audio are in any case."""
        self.kind = kind
        self.codec = codec
        self.clock_rate = clock_rate
        self.packets = self.octets = 0
        """Packets and payload bytes of the whole stream so far."""
        self._random_bits = random_bits
        self._history: list[SentPacket | None] = [None] * HISTORY_PACKETS
        self._newest: SentPacket | None = None
        self._newest_at = 0.0
        self.schedule = schedule
        self._queue = SendQueue(schedule if kind is MediaKind.VIDEO else None)
        self._red_queues: dict[int, SendQueue] = {}
        """Of audio with redundancy, by the payload type of Opus in it."""
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
            self._leave_queue(down_track, start)

    def set_redundancy(self, down_track: DownTrack, *, payload_type: int, block_type: int, now: float) -> None:
        """Send audio to a down track with redundancy (RED, RFC 2198): `payload_type` is that of RED, and `block_type`
        that of Opus. Without redundancy again, `payload_type` is that of Opus, and `block_type` 0."""
        start = self._starts.get(down_track)
        if start is not None:
            self._leave_queue(down_track, start)
        down_track.payload_type, down_track.red_block_type = payload_type, block_type
        if start is not None:
            self._queue_of(down_track).add(down_track, start.shift, now)

    def hold(self, down_track: DownTrack) -> None:
        """Stop sending to a down track, so that `add` goes on with its numbers if it has been sent anything."""
        self.remove(down_track)

    def end_run(self, down_track: DownTrack) -> EndedRun:
        """Stop sending to a live down track, whose stream may go on later or on another track. Raises KeyError unless
        it `has_started`."""
        start = self._starts[down_track]
        self._send_queued(down_track)
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

    def shift(self, down_track: DownTrack) -> Shift:
        """What is added to the numbers of the track's packets for a down track; nothing for one that is not live."""
        start = self._starts.get(down_track)
        return NO_SHIFT if start is None else start.shift

    def newest_sequence(self, down_track: DownTrack) -> int | None:
        """The number of the newest packet as a live down track is sent it; None for one that is not live."""
        if down_track not in self._starts or self._newest is None:
            return None
        return (self._newest.sequence + down_track.sequence_offset) & 0xFFFF

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
        if self._red_queues:
            self._send_redundant(packet, now, is_late=is_late)
        if is_late and self._newest is not None and sequence_distance(packet.sequence, self._newest.sequence) > 0:
            # A thinned track has left out the packets that came before it, so here it is the newest one. Otherwise a
            # track that goes on with a viewer's stream would use its number again.
            is_late = False
        if is_late:
            # The numbers before a viewer's start may belong to another packet of its stream.
            self._queue.send_late(packet, now, may_send=partial(self._may_have, packet.sequence))
        else:
            self._newest, self._newest_at = packet, now
            self._queue.put(packet, now)

    def _send_redundant(self, packet: SentPacket, now: float, *, is_late: bool) -> None:
        """Send one packet of audio with those before it. Each form is made once for all viewers that have it."""
        repeated: list[tuple[int, bytes]] = []
        for behind in () if is_late else range(1, REPEATED_FRAMES + 1):
            number = (packet.sequence - behind) & 0xFFFF
            before = self._history[number % HISTORY_PACKETS]
            if before is None or before.sequence != number:
                # Receivers may take the repeated frames for those of the numbers just before.
                break
            repeated.insert(0, ((packet.timestamp - before.timestamp) & 0xFFFFFFFF, before.payload))
        for block_type, queue in self._red_queues.items():
            redundant = packet._replace(payload=pack_red(packet.payload, block_type, repeated))
            if is_late:
                queue.send_late(redundant, now, may_send=partial(self._may_have, packet.sequence))
            else:
                queue.put(redundant, now)

    def _may_have(self, sequence: int, down_track: DownTrack) -> bool:
        return not self._is_before(sequence, self._starts[down_track])

    def _queue_of(self, down_track: DownTrack) -> SendQueue:
        """The queue of the packets in the form that a down track is sent."""
        block_type = down_track.red_block_type
        if not block_type:
            return self._queue
        return self._red_queues.setdefault(block_type, SendQueue(None))

    def _leave_queue(self, down_track: DownTrack, start: _StartPoint) -> None:
        queue = self._queue_of(down_track)
        queue.remove(down_track, start.shift)
        if queue is not self._queue and not queue.groups:
            del self._red_queues[down_track.red_block_type]

    def _send_queued(self, down_track: DownTrack) -> None:
        """Send a live down track what waits for it, because something else continues its stream."""
        self._queue_of(down_track).finish(down_track, self._starts[down_track].shift)

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
        return start.shift.apply(packet)

    def _go_live(
        self,
        down_track: DownTrack,
        *,
        sequence: int,
        first: int,
        now: float,
        octets: int = 0,
        shift: Shift = NO_SHIFT,
    ) -> None:
        """Send the down track all packets from the source's `sequence` on, the next one.

        `first` is the viewer's own number for that packet. `octets` counts the payload bytes that it was sent before.
        """
        if shift == NO_SHIFT:
            shift = NO_SHIFT
        down_track.sequence_offset = first - sequence
        self._starts[down_track] = _StartPoint(sequence, self.packets, self.octets - octets, shift)
        self._queue_of(down_track).add(down_track, shift, now)

    def _first_sequence(self) -> int:
        """The first sequence number of a new viewer: random (RFC 3550 section 5.1), in the lower quarter of 16 bits."""
        # A receiver that misses the first packets just before the number wraps would guess the wrong SRTP roll-over
        # counter and could not decrypt anything after it (RFC 3711 section 3.3.1).
        return self._random_bits(16) % _START_SPREAD_PACKETS
