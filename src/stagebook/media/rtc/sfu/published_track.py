"""A track whose packets come from a WebRTC publisher.

Packets of successive publishers and simulcast layers are rewritten into one stream with continuous sequence numbers and
timestamps (`RtpRewriter`). Viewers that wait for a start point get one by a keyframe request to the publisher.

A source with simulcast has several such tracks: one for the best layer, and one for each layer that viewers have chosen
(`simulcast.layer_tracks`). A viewer that changes its choice goes from one track to another: it is sent the old one up
to the keyframe at which the new one can start, and its own sequence numbers and timestamps continue.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import timestamp_distance
from stagebook.media.rtc.rtp.rtp_rewriter import RtpRewriter
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES, DownTrack
from stagebook.media.rtc.sfu.source_track import EndedRun, SentPacket, SourceTrack

_TIME_STEPS_PER_SECOND = 100
"""Timestamps of adopted viewers are shifted by whole steps of 10 ms, so that many viewers have equal shifts and are
served by one loop (`SourceTrack`). Sender reports are shifted alike, so audio and video stay in sync."""
_MAX_CLOCK_DIFFERENCE_SECONDS = 0.2
"""Two tracks of a source follow one clock, apart from the jitter of the packets that they began with. Timestamps are
not shifted if they differ by no more than this, and would still grow."""


class KeyframeRequester(Protocol):
    """The publisher's side of a track: `LayerSelection`."""

    def request_keyframe(self, now: float) -> None:
        """Request a keyframe from the publisher, throttled."""


class _Adoption(NamedTuple):
    """A viewer that another track serves until this one can start it."""

    origin: "PublishedTrack"
    on_adopted: Callable[[EndedRun, float], None]


class PublishedTrack(SourceTrack):
    """One continuous stream from the streams of successive publishers and simulcast layers."""

    def __init__(
        self,
        *,
        kind: MediaKind,
        codec: Codec,
        clock_rate: int,
        random_bits: Callable[[int], int],
        encoding_id: str | None = None,
        beside: "PublishedTrack | None" = None,
    ) -> None:
        """`encoding_id` names the layer that the track's viewers chose; None for the best one. `beside` is another
        track of the same source, whose time the timestamps continue."""
        super().__init__(kind=kind, codec=codec, clock_rate=clock_rate, random_bits=random_bits)
        self.encoding_id = encoding_id
        self.chosen_pixels = 0
        """The last known size of the chosen layer, to find a substitute while the publisher does not send it."""
        self.requester: KeyframeRequester | None = None
        """The current publisher's side of the track. None while no publisher is connected."""
        self._rewriter: RtpRewriter = RtpRewriter(
            clock_rate=clock_rate, newest=None if beside is None else beside._rewriter.newest
        )
        self._waiting: dict[DownTrack, _Adoption | None] = {}
        """Down tracks that wait for a packet at which they can start."""

    def add(self, down_track: DownTrack, now: float) -> None:
        """Start sending to a down track whose connection is up: audio with the next packet, video with the next
        keyframe, which is requested from the publisher. Call it once for a down track."""
        self._waiting[down_track] = None
        self.request_keyframe(now)

    def adopt(
        self,
        down_track: DownTrack,
        *,
        origin: "PublishedTrack",
        now: float,
        on_adopted: Callable[[EndedRun, float], None],
    ) -> None:
        """Send to a down track from the next keyframe on, which is requested. Until then `origin` sends to it, where it
        has started. `on_adopted` is called then, with what `origin` sent to it and the time."""
        self._waiting[down_track] = _Adoption(origin, on_adopted)
        self.request_keyframe(now)

    def remove(self, down_track: DownTrack) -> None:
        """Stop sending to a down track. A down track that was never added is ignored."""
        self._waiting.pop(down_track, None)
        super().remove(down_track)

    def handle_keyframe_request(self, down_track: DownTrack, now: float) -> None:  # noqa: ARG002 - for all viewers
        """Pass a viewer's PLI or FIR on to the publisher. The keyframe goes to all viewers."""
        self.request_keyframe(now)

    def request_keyframe(self, now: float) -> None:
        """Request a keyframe from the publisher, throttled there. No effect on audio, or without a publisher."""
        if self.requester is not None and self.kind is MediaKind.VIDEO:
            self.requester.request_keyframe(now)

    def switch(self, *, sequence: int, timestamp: int, now: float) -> None:
        """Follow another incoming stream, from the packet with this sequence number and timestamp on.

        The outgoing numbers continue those of the stream before: the sequence without a gap, the timestamp by the time
        that has passed. Packets before that one are dropped by `forward`.
        """
        self._rewriter.switch(sequence=sequence, timestamp=timestamp, now=now)

    def forward(
        self,
        *,
        sequence: int,
        marker: int,
        timestamp: int,
        payload: bytes,
        now: float,
        can_start: bool,
        is_late: bool = False,
        before: bytes | None = None,
    ) -> int | None:
        """Send one packet of the followed stream, with that stream's own sequence number and timestamp.

        `can_start`: a viewer can start here, that is at the first packet of a keyframe or at any audio packet.
        `is_late`: packets behind it have been forwarded already. `before` is the payload of a packet to insert before
        it, where the viewer starts then. Returns the outgoing timestamp, or None if the packet precedes the last switch
        or is too large to send.
        """
        # The inserted packet takes the number of the given one, so it has to come first.
        if before is not None:
            number = self._rewriter.insert(sequence=sequence)
            if number is not None:
                inserted = SentPacket(number, 0, self._rewriter.rewrite_timestamp(timestamp), before)
                self._send_or_start(inserted, now, can_start=can_start, is_late=False)
        rewritten = self._rewriter.rewrite(sequence=sequence, timestamp=timestamp, now=now)
        if rewritten is None or len(payload) > MAX_PAYLOAD_SIZE_BYTES:
            return None
        packet = SentPacket(rewritten[0], marker, rewritten[1], payload)
        self._send_or_start(packet, now, can_start=can_start, is_late=is_late)
        return rewritten[1]

    def outgoing_timestamp(self, timestamp: int) -> int:
        """The outgoing RTP timestamp for one of the followed stream, for instance that of a sender report, which need
        not belong to a packet."""
        return self._rewriter.rewrite_timestamp(timestamp)

    def _send_or_start(self, packet: SentPacket, now: float, *, can_start: bool, is_late: bool) -> None:
        """Send a packet, also to the down tracks that wait for one at which they can start."""
        if self._waiting:
            if can_start:
                self._start_waiting(packet, now)
            else:
                # With each packet, because a request or the keyframe itself may have been lost. The publisher's side
                # throttles it.
                self.request_keyframe(now)
        self._send(packet, now, is_late=is_late)

    def _start_waiting(self, packet: SentPacket, now: float) -> None:
        for down_track, adoption in self._waiting.items():
            if adoption is None:
                self._go_live(down_track, sequence=packet.sequence, first=self._first_sequence())
            else:
                self._take_from(adoption, down_track, packet, now)
        self._waiting.clear()

    def _take_from(self, adoption: _Adoption, down_track: DownTrack, packet: SentPacket, now: float) -> None:
        """Make a down track of another track live here: `packet` is the next one of its stream."""
        origin = adoption.origin
        shift = self._shift_behind(origin, down_track, packet.timestamp, now)
        ended = origin.end_run(down_track)
        self._go_live(
            down_track,
            sequence=packet.sequence,
            first=ended.next_sequence,
            octets=ended.octets,
            timestamp_offset=shift,
        )
        adoption.on_adopted(ended, now)

    def _shift_behind(self, origin: "PublishedTrack", down_track: DownTrack, timestamp: int, now: float) -> int:
        """What to add to this track's timestamps for a viewer of `origin`, so that they continue with `timestamp`."""
        newest, newest_at = origin._rewriter.newest or (timestamp, now)
        elapsed = max(1, round((now - newest_at) * self.clock_rate))
        ahead = timestamp_distance(timestamp, (newest + origin.timestamp_offset(down_track)) & 0xFFFFFFFF)
        if 0 < ahead <= elapsed + _MAX_CLOCK_DIFFERENCE_SECONDS * self.clock_rate:
            return 0
        step = self.clock_rate // _TIME_STEPS_PER_SECOND
        # Rounded up to whole steps.
        return -(-(elapsed - ahead) // step) * step
