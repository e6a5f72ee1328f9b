"""A track whose packets come from a WebRTC publisher.

Packets of successive publishers and simulcast layers are rewritten into one stream with continuous sequence numbers and
timestamps (`RtpRewriter`). Viewers that wait for a start point get one by a keyframe request to the publisher.
"""

from collections.abc import Callable
from typing import Protocol

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_rewriter import RtpRewriter
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES, DownTrack
from stagebook.media.rtc.sfu.source_track import SentPacket, SourceTrack


class KeyframeRequester(Protocol):
    """The publisher's side of a track: `IncomingTrack`."""

    def request_keyframe(self, now: float) -> None:
        """Request a keyframe from the publisher, throttled."""


class PublishedTrack(SourceTrack):
    """One continuous stream from the streams of successive publishers and simulcast layers."""

    def __init__(self, *, kind: MediaKind, codec: Codec, clock_rate: int, random_bits: Callable[[int], int]) -> None:
        super().__init__(kind=kind, codec=codec, clock_rate=clock_rate, random_bits=random_bits)
        self.requester: KeyframeRequester | None = None
        """The current publisher's track. None while no publisher is connected."""
        self._rewriter = RtpRewriter(clock_rate=clock_rate)
        self._waiting: list[DownTrack] = []
        """Down tracks that wait for a packet at which they can start."""

    def add(self, down_track: DownTrack, now: float) -> None:
        """Start sending to a down track whose connection is up: audio with the next packet, video with the next
        keyframe, which is requested from the publisher. Call it once for a down track."""
        self._waiting.append(down_track)
        self.request_keyframe(now)

    def remove(self, down_track: DownTrack) -> None:
        """Stop sending to a down track. A down track that was never added is ignored."""
        if down_track in self._waiting:
            self._waiting.remove(down_track)
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
        before: bytes | None = None,
    ) -> int | None:
        """Send one packet of the followed stream, with that stream's own sequence number and timestamp.

        `can_start`: a viewer can start here, that is at the first packet of a keyframe or at any audio packet.
        `before` is the payload of a packet to insert before it, where the viewer starts then. Returns the outgoing
        timestamp, or None if the packet precedes the last switch or is too large to send.
        """
        # The inserted packet takes the number of the given one, so it has to come first.
        if before is not None:
            number = self._rewriter.insert(sequence=sequence)
            if number is not None:
                inserted = SentPacket(number, 0, self._rewriter.rewrite_timestamp(timestamp), before)
                self._send_or_start(inserted, now, can_start=can_start)
        rewritten = self._rewriter.rewrite(sequence=sequence, timestamp=timestamp, now=now)
        if rewritten is None or len(payload) > MAX_PAYLOAD_SIZE_BYTES:
            return None
        self._send_or_start(SentPacket(rewritten[0], marker, rewritten[1], payload), now, can_start=can_start)
        return rewritten[1]

    def outgoing_timestamp(self, timestamp: int) -> int:
        """The outgoing RTP timestamp for one of the followed stream, for instance that of a sender report, which need
        not belong to a packet."""
        return self._rewriter.rewrite_timestamp(timestamp)

    def _send_or_start(self, packet: SentPacket, now: float, *, can_start: bool) -> None:
        """Send a packet, also to the down tracks that wait for one at which they can start."""
        if self._waiting:
            if can_start:
                self._start_waiting(packet.sequence)
            else:
                # With each packet, because a request or the keyframe itself may have been lost. The publisher's side
                # throttles it.
                self.request_keyframe(now)
        self._send(packet, now)

    def _start_waiting(self, sequence: int) -> None:
        for down_track in self._waiting:
            self._go_live(down_track, sequence=sequence, first=self._first_sequence())
        self._waiting.clear()
