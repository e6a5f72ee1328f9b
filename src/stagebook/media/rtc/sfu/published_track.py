"""A track whose packets come from a WebRTC publisher.

Packets of successive publishers and simulcast layers are rewritten into one stream with continuous sequence numbers and
timestamps (`RtpRewriter`) and, with VP8, continuous picture ids (`PictureNumbers`). Viewers that wait for a start point
get one by a keyframe request to the publisher.

A source with simulcast has several such tracks: one for the best layer, and one for each layer that viewers are sent
otherwise (`simulcast.layer_tracks`). Beside each there may be versions of it with fewer temporal layers
(`ThinnedTrack`). A viewer goes from one track to another: it is sent the old one up to the packet at which the new one
can start, and its own numbers continue (`SwitchableTrack`).
"""

from collections.abc import Callable
from typing import Protocol

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_rewriter import RtpRewriter
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.sending.sent_packet import SentPacket
from stagebook.media.rtc.sfu.simulcast.layer_allocator import STILLS
from stagebook.media.rtc.sfu.simulcast.picture_layers import PictureLayer
from stagebook.media.rtc.sfu.simulcast.picture_numbers import PictureNumbers
from stagebook.media.rtc.sfu.simulcast.still_track import StillTrack
from stagebook.media.rtc.sfu.simulcast.switchable_track import SwitchableTrack
from stagebook.media.rtc.sfu.simulcast.thinned_track import ThinnedTrack


class KeyframeRequester(Protocol):
    """The publisher's side of a track: `LayerSelection`."""

    def request_keyframe(self, now: float) -> None:
        """Request a keyframe from the publisher, throttled."""


class PublishedTrack(SwitchableTrack):
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
        schedule: SendSchedule | None = None,
    ) -> None:
        """`encoding_id` names the layer that the track's viewers are to be sent; None for the best one. `beside` is
        another track of the same source, whose time the timestamps continue."""
        super().__init__(kind=kind, codec=codec, clock_rate=clock_rate, random_bits=random_bits, schedule=schedule)
        self.encoding_id = encoding_id
        self.chosen_pixels = 0
        """The last known size of the chosen layer, to find a substitute while the publisher does not send it."""
        self.requester: KeyframeRequester | None = None
        """The current publisher's side of the track. None while no publisher is connected."""
        self.thinned: dict[int, ThinnedTrack] = {}
        """The versions without the temporal layers above their key."""
        self._rewriter = RtpRewriter(clock_rate=clock_rate, newest=None if beside is None else beside.newest)
        self._pictures = PictureNumbers()

    @property
    def whole(self) -> SwitchableTrack:
        """The track itself."""
        return self

    @property
    def newest(self) -> tuple[int, float] | None:
        """The newest timestamp, and when its packet arrived. None before the first packet."""
        return self._rewriter.newest

    def version(self, max_temporal_id: int | None) -> SwitchableTrack:
        """The version without the temporal layers above one; None: the track itself; STILLS: keyframes alone."""
        if max_temporal_id is None:
            return self
        thinned = self.thinned.get(max_temporal_id)
        if thinned is None:
            thinned = self.thinned[max_temporal_id] = (
                StillTrack(self, random_bits=self._random_bits)
                if max_temporal_id == STILLS
                else ThinnedTrack(self, max_temporal_id, random_bits=self._random_bits)
            )
        return thinned

    @property
    def stills(self) -> StillTrack | None:
        """The version of keyframes alone, if viewers are sent it."""
        found = self.thinned.get(STILLS)
        return found if isinstance(found, StillTrack) else None

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
        self._pictures.switch()

    def forward(
        self,
        *,
        sequence: int,
        marker: int,
        timestamp: int,
        payload: bytes,
        now: float,
        layer: PictureLayer,
        is_late: bool = False,
        before: bytes | None = None,
    ) -> int | None:
        """Send one packet of the followed stream, with that stream's own sequence number and timestamp.

        `layer` says where a viewer can start: at the first packet of a keyframe, or at any audio packet. `is_late`:
        packets behind it have been forwarded already. `before` is the payload of a packet to insert before it, where
        the viewer starts then. Returns the outgoing timestamp, or None if the packet precedes the last switch or is too
        large to send.
        """
        # The inserted packet takes the number of the given one, so it has to come first.
        if before is not None:
            number = self._rewriter.insert(sequence=sequence)
            if number is not None:
                inserted = SentPacket(number, 0, self._rewriter.rewrite_timestamp(timestamp), before)
                self._distribute(inserted, layer, now, is_late=False)
        rewritten = self._rewriter.rewrite(sequence=sequence, timestamp=timestamp, now=now)
        if rewritten is None or len(payload) > MAX_PAYLOAD_SIZE_BYTES:
            return None
        if layer.vp8 is not None:
            payload = self._pictures.rewrite(payload, layer.vp8)
        # Without the call of the generated constructor, which is a function in Python: this runs for each packet.
        packet = tuple.__new__(SentPacket, (rewritten[0], marker, rewritten[1], payload))
        self._distribute(packet, layer, now, is_late=is_late)
        return rewritten[1]

    def outgoing_timestamp(self, timestamp: int) -> int:
        """The outgoing RTP timestamp for one of the followed stream, for instance that of a sender report, which need
        not belong to a packet."""
        return self._rewriter.rewrite_timestamp(timestamp)

    def _distribute(self, packet: SentPacket, layer: PictureLayer, now: float, *, is_late: bool) -> None:
        """Send a packet to the viewers of the track and of its thinned versions, and to those that can start here.

        Viewers change tracks before the packet is sent anywhere, so that nobody is sent it twice.
        """
        thinned = (
            [(each, each.prepare(packet, layer, now, is_late=is_late)) for each in self.thinned.values()]
            if self.thinned
            else ()
        )
        picture = self._pictures.newest
        if self._waiting:
            self._start_waiting(packet, layer, picture, now, is_late=is_late)
        self._sent_picture = picture
        self._send(packet, now, is_late=is_late)
        for track, prepared in thinned:
            if prepared is not None:
                track.send_prepared(prepared, now, is_late=is_late)
