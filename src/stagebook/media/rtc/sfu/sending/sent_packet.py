"""The packets of a track, and what differs between the viewers of one track.

A viewer's packets differ from those of the track in two ways. Its SSRC, payload type and sequence numbers are its own;
the hot loop writes them (`fan_out`). Numbers that are shifted, such as the timestamps of a viewer that was sent another
track before, are equal for many viewers. They are the `Shift`, and viewers with equal shifts are served together.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from stagebook.media.codecs import vp8_descriptor


class SentPacket(NamedTuple):
    """One sent packet. `sequence` is the source's number, or, in a GOP replay, the one viewer's own number."""

    sequence: int
    marker: int
    timestamp: int
    payload: bytes


class Shift(NamedTuple):
    """What is added to the numbers of a track's packets for a viewer, beside the sequence number."""

    timestamp: int = 0
    """Modulo 2^32."""
    picture_id: int = 0
    """Modulo 2^15. It and `tl0` are those of VP8 (`vp8_descriptor`)."""
    tl0: int = 0
    """Modulo 2^8."""

    def apply(self, packet: SentPacket) -> SentPacket:
        """The packet as a viewer with this shift is sent it."""
        payload = packet.payload
        if self.picture_id or self.tl0:
            payload = vp8_descriptor.shifted(payload, picture_id=self.picture_id, tl0=self.tl0)
        return SentPacket(packet.sequence, packet.marker, (packet.timestamp + self.timestamp) & 0xFFFFFFFF, payload)

    def apply_all(self, packets: Sequence[SentPacket]) -> Sequence[SentPacket]:
        """As `apply`, for packets in their order."""
        return packets if self == NO_SHIFT else [self.apply(packet) for packet in packets]


NO_SHIFT: Final = Shift()
