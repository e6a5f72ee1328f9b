"""A track without the upper temporal layers of another one: the same picture with fewer frames and fewer bits.

It is made of the packets that the other track sends, so it has the same clock and changes layers and publishers with
it. What is left out takes no sequence number and no picture id. A packet that is missing keeps its number, because it
may still come; if it then is one to leave out, an empty packet takes its place.

A viewer comes from the other track at the next frame, and returns at a frame that needs none of those it was not sent.
"""

from collections.abc import Callable

from stagebook.media.codecs.vp8_descriptor import parse_descriptor
from stagebook.media.rtc.rtp.renumbering import Renumbering
from stagebook.media.rtc.sfu.sending.sent_packet import SentPacket
from stagebook.media.rtc.sfu.simulcast.picture_layers import PictureLayer
from stagebook.media.rtc.sfu.simulcast.picture_numbers import PictureNumbers
from stagebook.media.rtc.sfu.simulcast.switchable_track import SwitchableTrack

_SEQUENCE_BITS = 16


class ThinnedTrack(SwitchableTrack):
    """The frames of a track up to one temporal layer."""

    def __init__(self, whole: SwitchableTrack, max_temporal_id: int, *, random_bits: Callable[[int], int]) -> None:
        super().__init__(
            kind=whole.kind,
            codec=whole.codec,
            clock_rate=whole.clock_rate,
            random_bits=random_bits,
            schedule=whole.schedule,
        )
        self.max_temporal_id = self._kept = max_temporal_id
        self._whole = whole
        self._sequences = Renumbering(bits=_SEQUENCE_BITS)
        self._pictures = PictureNumbers()

    @property
    def whole(self) -> SwitchableTrack:
        """The track with all temporal layers."""
        return self._whole

    def version(self, max_temporal_id: int | None) -> SwitchableTrack:
        """Another version of the same video."""
        return self._whole.version(max_temporal_id)

    @property
    def newest(self) -> tuple[int, float] | None:
        """The newest timestamp of the whole track, and when its packet arrived."""
        return self._whole.newest

    def request_keyframe(self, now: float) -> None:
        """Request a keyframe from the publisher."""
        self._whole.request_keyframe(now)

    def prepare(self, packet: SentPacket, layer: PictureLayer, now: float, *, is_late: bool) -> SentPacket | None:
        """Take a packet that the whole track is about to send, and start the viewers that can start with it. Returns
        what is to be sent with `send_prepared`; None if the packet is left out."""
        is_kept = layer.temporal_id <= self._kept
        if self._sequences.last is None:
            if not is_kept or is_late or not (layer.starts_frame or layer.starts_keyframe):
                return None
            self._sequences.follow(packet.sequence)
        descriptor = None if layer.vp8 is None else parse_descriptor(packet.payload)
        if not is_kept:
            if self._sequences.leave_out(packet.sequence):
                if descriptor is not None:
                    self._pictures.leave_out(descriptor)
                return None
            packet, descriptor = packet._replace(payload=b"", marker=0), None
        number = self._sequences.map(packet.sequence)
        if number is None:
            return None
        prepared = packet._replace(sequence=number, payload=self._pictures.rewrite(packet.payload, descriptor))
        if self._waiting and is_kept:
            self._start_waiting(prepared, layer, self._pictures.newest, now, is_late=is_late)
        return prepared

    def send_prepared(self, packet: SentPacket, now: float, *, is_late: bool) -> None:
        """Send a packet that `prepare` returned."""
        self._sent_picture = self._pictures.newest
        self._send(packet, now, is_late=is_late)
