"""A track that a WebRTC publisher feeds: its packets restamped into one stream, and keyframes asked of it.

Knows packets one by one, as they come from the network; not whose connection they come from.
"""

from collections.abc import Callable
from typing import Protocol

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_rewriter import RtpRewriter
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES, DownTrack
from stagebook.media.rtc.sfu.source_track import SentPacket, SourceTrack


class Origin(Protocol):
    """Where a track's packets come from now: one track of a publisher's connection."""

    def request_keyframe(self, now: float) -> None:
        """Ask the publisher for a keyframe, throttled."""


class PublishedTrack(SourceTrack):
    """One continuous stream out of what one publisher after another sends, layer after layer."""

    def __init__(self, *, kind: MediaKind, codec: Codec, clock_rate: int, random_bits: Callable[[int], int]) -> None:
        super().__init__(kind=kind, codec=codec, clock_rate=clock_rate, random_bits=random_bits)
        self.origin: Origin | None = None
        self._rewriter = RtpRewriter(clock_rate=clock_rate)
        self._waiting: list[DownTrack] = []

    def add(self, outlet: DownTrack, now: float) -> None:
        """Begin to send to an outlet whose connection is up; video begins with the next keyframe."""
        self._waiting.append(outlet)
        self.request_keyframe(now)

    def remove(self, outlet: DownTrack) -> None:
        """Send no more to an outlet. One that was never added is fine."""
        if outlet in self._waiting:
            self._waiting.remove(outlet)
        super().remove(outlet)

    def refresh(self, outlet: DownTrack, now: float) -> None:  # noqa: ARG002 - the keyframe is for all viewers
        """A viewer has lost its picture: ask the publisher."""
        self.request_keyframe(now)

    def request_keyframe(self, now: float) -> None:
        """Ask whoever feeds this track for a keyframe; audio has none."""
        if self.origin is not None and self.kind is MediaKind.VIDEO:
            self.origin.request_keyframe(now)

    def switch(self, *, sequence: int, timestamp: int, now: float) -> None:
        """Another stream follows, from the packet with these numbers on."""
        self._rewriter.switch(sequence=sequence, timestamp=timestamp, now=now)

    def forward(
        self, *, sequence: int, marker: int, timestamp: int, payload: bytes, now: float, begins: bool
    ) -> int | None:
        """Send one packet of the stream now followed. `begins`: a viewer can begin with it (a keyframe's first packet,
        any packet of audio). Returns its outgoing timestamp; None if it was from before the switch or too large."""
        stamped = self._rewriter.rewrite(sequence=sequence, timestamp=timestamp, now=now)
        if stamped is None or len(payload) > MAX_PAYLOAD_SIZE_BYTES:
            return None
        packet = SentPacket(stamped[0], marker, stamped[1], payload)
        if self._waiting:
            if begins:
                self._start_waiting(packet.sequence)
            else:
                self.request_keyframe(now)
        self._send(packet, now)
        return packet.timestamp

    def outgoing_timestamp(self, timestamp: int) -> int:
        """The outgoing timestamp for one of the stream now followed (as in its sender report)."""
        return self._rewriter.rewrite_timestamp(timestamp)

    def _start_waiting(self, sequence: int) -> None:
        for outlet in self._waiting:
            self._go_live(outlet, sequence=sequence, first=self._first_number())
        self._waiting.clear()
