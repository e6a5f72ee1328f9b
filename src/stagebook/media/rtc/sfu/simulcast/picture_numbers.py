"""Continuous picture ids and TL0PICIDX of VP8 (RFC 7741 section 4.2) for a stream whose parts come from other streams.

A receiver sees by a gap in the picture ids that it misses a frame, and waits for it. So a frame that is left out takes
no picture id, and the first frame of another layer takes the next one. Streams without these fields are not changed.
"""

from stagebook.media.codecs.vp8_descriptor import LONG_ID_BITS, SHORT_ID_BITS, TL0_BITS, Vp8Descriptor, renumbered
from stagebook.media.rtc.rtp.renumbering import Renumbering


class PictureNumbers:
    """The numbers of one outgoing stream."""

    __slots__ = ("_ids", "_ids_of", "_is_new", "_tl0", "newest")

    def __init__(self) -> None:
        self._ids_of = {LONG_ID_BITS: Renumbering(bits=LONG_ID_BITS), SHORT_ID_BITS: Renumbering(bits=SHORT_ID_BITS)}
        """A picture id has two forms. A sender uses one of them."""
        self._ids = 0
        """The size of the ids of the followed stream."""
        self._tl0 = Renumbering(bits=TL0_BITS)
        self._is_new = True
        self.newest: tuple[int, int] = (-1, -1)
        """Picture id and TL0PICIDX of the highest frame so far; -1 for what there was none of."""

    def switch(self) -> None:
        """Follow another stream, beginning with the next packet that is rewritten."""
        self._is_new = True

    def leave_out(self, descriptor: Vp8Descriptor) -> None:
        """Leave out the frame of a packet that is not late: the ids of the frames behind it close up."""
        if descriptor.id_bits and descriptor.picture_id is not None and not self._is_new:
            self._ids_of[descriptor.id_bits].leave_out(descriptor.picture_id)

    def rewrite(self, payload: bytes, descriptor: Vp8Descriptor | None) -> bytes:
        """Return the payload with its new numbers."""
        if descriptor is None:
            return payload
        picture_id, tl0 = descriptor.picture_id, descriptor.tl0
        if picture_id is None and tl0 is None:
            return payload
        if self._is_new or descriptor.id_bits != self._ids:
            self._follow(descriptor)
        newest_id, newest_tl0 = self.newest
        if picture_id is not None:
            ids = self._ids_of[descriptor.id_bits]
            picture_id = ids.map(picture_id)
            newest_id = -1 if ids.last is None else ids.last
        if tl0 is not None:
            tl0 = self._tl0.map(tl0)
            newest_tl0 = -1 if self._tl0.last is None else self._tl0.last
        self.newest = newest_id, newest_tl0
        return renumbered(payload, descriptor, picture_id=picture_id, tl0=tl0)

    def _follow(self, descriptor: Vp8Descriptor) -> None:
        picture_id, tl0 = self.newest
        self._is_new, self._ids = False, descriptor.id_bits
        if descriptor.picture_id is not None:
            ids = self._ids_of[descriptor.id_bits]
            ids.follow(descriptor.picture_id, behind=None if picture_id < 0 else picture_id)
        if descriptor.tl0 is not None:
            self._tl0.follow(descriptor.tl0, behind=None if tl0 < 0 else tl0)
