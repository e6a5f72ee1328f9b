"""Inspection of H.264 RTP payloads (RFC 6184): keyframe starts, NAL units and slice types.

The forwarder does not decode video. It looks at the first bytes of payloads to find the packets at which a viewer can
begin (keyframes) and to measure the stream (frame size, B-frames). All functions accept any bytes, because payloads
come from publishers, and none raises.
"""

from collections.abc import Iterator
from enum import StrEnum

from stagebook.media.codecs.bit_reader import BitReader, OutOfBitsError
from stagebook.media.codecs.h264_nal import (
    FU_A,
    FU_START,
    IDR_SLICE,
    NON_IDR_SLICE,
    PREFIX,
    REF_IDC_MASK,
    SPS,
    STAP_A,
    TYPE_MASK,
)

MAX_AGGREGATED_UNITS = 32
"""The NAL units of a STAP-A that are looked at. A sender aggregates the parameter sets and the small slices of a frame;
a packet of units of one byte would hold six hundred."""

# The slice header begins with first_mb_in_slice as ue(v). It is 0 for a frame's first slice, and the code of 0 is a
# single one bit, so the byte after the NAL unit header is at least 0x80 (section 7.3.3).
_FIRST_SLICE = b"\x80"

# A prefix NAL unit has three bytes behind its header; the third begins with temporal_id. The first bit of the first one
# says that they are those of SVC.
_PREFIX_BYTES = 4
_SVC_EXTENSION = 0x80


class SliceType(StrEnum):
    """slice_type (ITU-T H.264 table 7-6): which kinds of prediction a slice may use."""

    P = "P"
    B = "B"
    I = "I"  # noqa: E741 - the standard's own name
    SP = "SP"
    SI = "SI"


def starts_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload begins a keyframe: it holds an SPS or the start of an IDR frame's first slice."""
    if len(payload) < 2:
        return False
    nal_type = payload[0] & TYPE_MASK
    if nal_type == FU_A:
        if not payload[1] & FU_START:
            return False
        nal_type = payload[1] & TYPE_MASK
        return nal_type == SPS or (nal_type == IDR_SLICE and payload[2:3] >= _FIRST_SLICE)
    if nal_type == STAP_A:
        return any(_begins_keyframe(unit) for unit in _aggregated(payload))
    return _begins_keyframe(payload)


def is_first_slice(unit: bytes | memoryview) -> bool:
    """Whether a slice NAL unit with its header is the first slice of its frame: first_mb_in_slice is 0.

    Slices come in the order of their macroblocks. The exception, arbitrary slice order, exists only in the Baseline
    profile without constraint_set1 (H.264 section A.2.1), which browsers do not decode.
    """
    return len(unit) > 1 and unit[1] >= _FIRST_SLICE[0]


def continues_nal_unit(payload: bytes) -> bool:
    """Whether an RTP payload is a fragment (FU-A) other than the first one of its NAL unit."""
    return len(payload) > 1 and payload[0] & TYPE_MASK == FU_A and not payload[1] & FU_START


def nal_units(payload: bytes) -> Iterator[bytes]:
    """Yield the NAL units that begin in an RTP payload, each with its header (RFC 6184 sections 5.6 to 5.8).

    Of a fragmented NAL unit, the first fragment is yielded with the header restored, and later ones are not. Payloads
    of other packet types and malformed payloads yield nothing.
    """
    if len(payload) < 2:
        return
    nal_type = payload[0] & TYPE_MASK
    if nal_type == FU_A:
        if payload[1] & FU_START:
            yield bytes([payload[0] & ~TYPE_MASK | payload[1] & TYPE_MASK]) + payload[2:]
    elif nal_type == STAP_A:
        yield from _aggregated(payload)
    elif 1 <= nal_type < STAP_A:
        yield payload


def temporal_id(payload: bytes) -> int | None:
    """The temporal layer of the frame that an RTP payload belongs to; None if the payload holds no slice.

    It is that of a prefix NAL unit (ITU-T H.264 section G.7.3.1.1). Without one, a frame to which no other refers
    (nal_ref_idc 0) is in layer 1, and every other in layer 0.
    """
    if len(payload) < 2:
        return None
    nal_type = payload[0] & TYPE_MASK
    if nal_type == FU_A:
        return _temporal_id(payload[0] & REF_IDC_MASK, payload[1] & TYPE_MASK)
    found = None
    for unit in nal_units(payload):
        nal_type = unit[0] & TYPE_MASK
        if nal_type == PREFIX and len(unit) >= _PREFIX_BYTES and unit[1] & _SVC_EXTENSION:
            return unit[3] >> 5
        if found is None:
            found = _temporal_id(unit[0] & REF_IDC_MASK, nal_type)
    return found


def _temporal_id(ref_idc: int, nal_type: int) -> int | None:
    if nal_type not in (NON_IDR_SLICE, IDR_SLICE):
        return None
    return 0 if ref_idc or nal_type == IDR_SLICE else 1


def slice_type(unit: bytes) -> SliceType | None:
    """The type of a frame's first slice; None for later slices and for other NAL units.

    A slice header begins with first_mb_in_slice and slice_type, both ue(v) (ITU-T H.264 section 7.3.3). In a first
    slice they fit in one byte, so the type is looked up in a table.
    """
    if len(unit) < 2 or unit[0] & TYPE_MASK not in (NON_IDR_SLICE, IDR_SLICE):
        return None
    return _SLICE_TYPES[unit[1]]


def _make_slice_types() -> tuple[SliceType | None, ...]:
    """The slice type for each value of the byte after the NAL unit header."""
    names = (SliceType.P, SliceType.B, SliceType.I, SliceType.SP, SliceType.SI)
    table: list[SliceType | None] = []
    for value in range(256):
        reader = BitReader(bytes([value]))
        try:
            # 5 to 9 mean the same types, for frames whose slices all have one type.
            table.append(names[code % 5] if reader.unsigned() == 0 and (code := reader.unsigned()) < 10 else None)
        except OutOfBitsError:
            table.append(None)
    return tuple(table)


_SLICE_TYPES = _make_slice_types()


def _begins_keyframe(unit: bytes) -> bool:
    nal_type = unit[0] & TYPE_MASK
    return nal_type == SPS or (nal_type == IDR_SLICE and is_first_slice(unit))


def _aggregated(payload: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a STAP-A, each of which follows its 16-bit size; stop at the first size that is wrong, and
    after MAX_AGGREGATED_UNITS."""
    position = 1
    for _ in range(MAX_AGGREGATED_UNITS):
        if position + 2 >= len(payload):
            return
        size = payload[position] << 8 | payload[position + 1]
        position += 2
        if size == 0 or position + size > len(payload):
            return
        yield payload[position : position + size]
        position += size
