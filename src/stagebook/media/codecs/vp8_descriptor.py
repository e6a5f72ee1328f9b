"""The payload descriptor of VP8 in RTP (RFC 7741 section 4.2): where a frame begins, and what it depends on.

    +-+-+-+-+-+-+-+-+
    |X|R|N|S|R| PID |   N: no other frame refers to the frame; S with PID 0: the frame's first packet
    +-+-+-+-+-+-+-+-+
    |I|L|T|K|  RSV  |   with X
    |M| PictureID   |   with I: 7 bits, or 15 with M; one more for each frame
    |   TL0PICIDX   |   with L: 8 bits, one more for each frame of temporal layer 0
    |TID|Y| KEYIDX  |   with T or K: the temporal layer; Y: the frame depends on layer 0 alone
    +-+-+-+-+-+-+-+-+

A receiver can tell by the picture id and TL0PICIDX which frames it misses. So a sender that leaves frames out, or
continues one stream with another, has to renumber both: `shifted` and `renumbered` do. No function raises for any
bytes.
"""

from typing import Final, NamedTuple

_EXTENDED: Final = 0x80
_NON_REFERENCE: Final = 0x20
_START_OF_PARTITION: Final = 0x10
_PARTITION_INDEX: Final = 0x07
_HAS_PICTURE_ID: Final = 0x80
_HAS_TL0PICIDX: Final = 0x40
_HAS_TID: Final = 0x20
_HAS_TID_OR_KEYIDX: Final = 0x30
_LONG_PICTURE_ID: Final = 0x80
_SYNC: Final = 0x20
_INTER_FRAME: Final = 0x01

_MIN_SIZE_WITH_PICTURE_ID: Final = 4
"""Two bytes, the short picture id, and one byte of the frame. The long one is as long."""

LONG_ID_BITS: Final = 15
SHORT_ID_BITS: Final = 7
TL0_BITS: Final = 8


class Vp8Descriptor(NamedTuple):
    """A payload descriptor, and the first bit of the frame header behind it."""

    size: int
    """Bytes of the descriptor. The payload goes on behind it."""
    starts_frame: bool
    is_key: bool
    """Whether the packet begins a keyframe."""
    picture_id: int | None
    id_bits: int
    """7 or 15; 0 without a picture id."""
    tl0: int | None
    """TL0PICIDX."""
    temporal_id: int
    """The temporal layer. Without TID: 1 for a frame to which no other refers, otherwise 0."""
    is_sync: bool
    """Whether a frame above layer 0 depends on layer 0 alone."""


def parse_descriptor(payload: bytes) -> Vp8Descriptor | None:
    """Read the descriptor of an RTP payload; None if it is truncated, or nothing follows it."""
    size = len(payload)
    if size < 2:
        return None
    first = payload[0]
    is_start = bool(first & _START_OF_PARTITION) and not first & _PARTITION_INDEX
    is_free = bool(first & _NON_REFERENCE)
    if not first & _EXTENDED:
        return Vp8Descriptor(1, is_start, is_start and not payload[1] & _INTER_FRAME, None, 0, None, is_free, is_free)
    extension, position = payload[1], 2
    picture_id, id_bits, tl0 = None, 0, None
    temporal_id, is_sync = int(is_free), is_free
    if extension & _HAS_PICTURE_ID:
        if size < _MIN_SIZE_WITH_PICTURE_ID:
            return None
        if payload[2] & _LONG_PICTURE_ID:
            picture_id, id_bits, position = (payload[2] & 0x7F) << 8 | payload[3], LONG_ID_BITS, 4
        else:
            picture_id, id_bits, position = payload[2], SHORT_ID_BITS, 3
    if extension & _HAS_TL0PICIDX and position < size:
        tl0 = payload[position]
        position += 1
    if extension & _HAS_TID_OR_KEYIDX and position < size:
        if extension & _HAS_TID:
            temporal_id = payload[position] >> 6
            is_sync = is_free or bool(payload[position] & _SYNC)
        position += 1
    if position >= size:
        return None
    is_key = is_start and not payload[position] & _INTER_FRAME
    return Vp8Descriptor(position, is_start, is_key, picture_id, id_bits, tl0, temporal_id, is_sync)


def renumbered(payload: bytes, descriptor: Vp8Descriptor, *, picture_id: int | None, tl0: int | None) -> bytes:
    """The payload with another picture id and TL0PICIDX, modulo the sizes of its fields. A field that it does not have
    is not added."""
    position = 2
    head = payload[:2]
    if descriptor.picture_id is not None:
        picture_id = descriptor.picture_id if picture_id is None else picture_id
        if descriptor.id_bits == LONG_ID_BITS:
            head += (picture_id & 0x7FFF | 0x8000).to_bytes(2, "big")
        else:
            head += bytes((picture_id & 0x7F,))
        position = len(head)
    if descriptor.tl0 is not None:
        head += bytes(((descriptor.tl0 if tl0 is None else tl0) & 0xFF,))
        position += 1
    return payload if head == payload[:position] else head + payload[position:]


def shifted(payload: bytes, *, picture_id: int, tl0: int) -> bytes:
    """The payload with these numbers added to its picture id and TL0PICIDX. Unchanged if it has no descriptor."""
    descriptor = parse_descriptor(payload)
    if descriptor is None:
        return payload
    return renumbered(
        payload,
        descriptor,
        picture_id=None if descriptor.picture_id is None else descriptor.picture_id + picture_id,
        tl0=None if descriptor.tl0 is None else descriptor.tl0 + tl0,
    )
