"""H.264 in RTP payloads (RFC 6184): keyframes, parameter sets, slice types. Headers only: nothing is decoded."""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from stagebook.media.codecs.bit_reader import BitReader, OutOfBitsError

_IDR = 5
_NON_IDR = 1
SPS = 7
_STAP_A = 24
_FU_A = 28
_FU_START = 0x80
_TYPE = 0x1F

_MAX_SPS_BYTES = 1_024
_MAX_SIZE_PIXELS = 16_384

# profile_idc values whose SPS carries the chroma format (ITU-T H.264, 7.3.2.1.1).
_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


class SliceType(StrEnum):
    """What a slice may refer to (ITU-T H.264, table 7-6)."""

    P = "P"
    B = "B"
    I = "I"  # noqa: E741 - the standard's own name
    SP = "SP"
    SI = "SI"


class SequenceParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What an SPS says (ITU-T H.264, 7.3.2.1.1); width and height are cropped, in pixels.

    `is_progressive` is frame_mbs_only_flag: without it pictures may be fields.
    """

    profile: int
    constraints: int
    level: int
    width: int
    height: int
    is_progressive: bool


def starts_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload begins a keyframe: an SPS, or the first slice of an IDR picture. Any bytes are fine."""
    if len(payload) < 2:
        return False
    kind = payload[0] & _TYPE
    if kind == _FU_A:
        if not payload[1] & _FU_START:
            return False
        kind = payload[1] & _TYPE
        return kind == SPS or (kind == _IDR and payload[2:3] >= b"\x80")
    if kind == _STAP_A:
        return any(_begins_keyframe(unit) for unit in _aggregated(payload))
    return _begins_keyframe(payload)


def nal_units(payload: bytes) -> Iterator[bytes]:
    """The NAL units that begin in an RTP payload, each with its header; a fragmented one is cut at the packet's end
    (RFC 6184 sections 5.6 to 5.8). Other packet types and broken ones give none."""
    if len(payload) < 2:
        return
    kind = payload[0] & _TYPE
    if kind == _FU_A:
        if payload[1] & _FU_START:
            yield bytes([payload[0] & ~_TYPE | payload[1] & _TYPE]) + payload[2:]
    elif kind == _STAP_A:
        yield from _aggregated(payload)
    elif 1 <= kind < _STAP_A:
        yield payload


def parse_sps(unit: bytes) -> SequenceParameters | None:
    """Read an SPS NAL unit; None for any other or a broken one."""
    if not unit or unit[0] & _TYPE != SPS:
        return None
    reader = BitReader(unit[1:_MAX_SPS_BYTES].replace(b"\0\0\3", b"\0\0"))
    try:
        profile, constraints, level = reader.bits(8), reader.bits(8), reader.bits(8)
        width, height, is_progressive = _picture_size(reader, profile)
    except OutOfBitsError:
        return None
    if not 0 < width <= _MAX_SIZE_PIXELS or not 0 < height <= _MAX_SIZE_PIXELS:
        return None
    return SequenceParameters(
        profile=profile,
        constraints=constraints,
        level=level,
        width=width,
        height=height,
        is_progressive=is_progressive,
    )


def slice_type(unit: bytes) -> SliceType | None:
    """The type of a picture's FIRST slice; None for later slices and all other NAL units.

    Only the first slice has first_mb_in_slice 0, and then both codes lie in one byte (7.3.3): a table is enough.
    """
    if len(unit) < 2 or unit[0] & _TYPE not in (_NON_IDR, _IDR):
        return None
    return _FIRST_SLICE[unit[1]]


def _first_slices() -> tuple[SliceType | None, ...]:
    """The slice type for each value of the byte after the NAL header."""
    names = (SliceType.P, SliceType.B, SliceType.I, SliceType.SP, SliceType.SI)
    table: list[SliceType | None] = []
    for value in range(256):
        reader = BitReader(bytes([value]))
        try:
            table.append(names[code % 5] if reader.unsigned() == 0 and (code := reader.unsigned()) < 10 else None)
        except OutOfBitsError:
            table.append(None)
    return tuple(table)


_FIRST_SLICE = _first_slices()


def _begins_keyframe(unit: bytes) -> bool:
    kind = unit[0] & _TYPE
    return kind == SPS or (kind == _IDR and unit[1:2] >= b"\x80")


def _aggregated(payload: bytes) -> Iterator[bytes]:
    """The whole NAL units of a STAP-A: each after its 16-bit size."""
    position = 1
    while position + 2 < len(payload):
        size = payload[position] << 8 | payload[position + 1]
        position += 2
        if size == 0 or position + size > len(payload):
            return
        yield payload[position : position + size]
        position += size


def _picture_size(reader: BitReader, profile: int) -> tuple[int, int, bool]:
    """(width, height, is_progressive), cropped, from what follows level_idc. Raises OutOfBitsError."""
    reader.unsigned()  # seq_parameter_set_id
    chroma, planes = _chroma_format(reader) if profile in _WITH_CHROMA else (1, False)
    reader.unsigned()  # log2_max_frame_num_minus4
    _skip_picture_order(reader)
    reader.unsigned()  # max_num_ref_frames
    reader.bits(1)  # gaps_in_frame_num_value_allowed_flag
    width = (reader.unsigned() + 1) * 16
    map_height = (reader.unsigned() + 1) * 16
    frames_only = reader.bits(1)
    if not frames_only:
        reader.bits(1)  # mb_adaptive_frame_field_flag
    height = map_height * (2 - frames_only)
    reader.bits(1)  # direct_8x8_inference_flag
    if reader.bits(1):
        # Crop units: 7.4.2.1.1, from the chroma subsampling (table 6-1).
        across = 2 if chroma in (1, 2) and not planes else 1
        down = (2 if chroma == 1 and not planes else 1) * (2 - frames_only)
        left, right, top, bottom = (reader.unsigned() for _ in range(4))
        width -= (left + right) * across
        height -= (top + bottom) * down
    return width, height, bool(frames_only)


def _chroma_format(reader: BitReader) -> tuple[int, bool]:
    """(chroma_format_idc, separate_colour_plane_flag), and over the rest that high profiles have."""
    chroma = reader.unsigned()
    planes = bool(reader.bits(1)) if chroma == 3 else False
    reader.unsigned()  # bit_depth_luma_minus8
    reader.unsigned()  # bit_depth_chroma_minus8
    reader.bits(1)  # qpprime_y_zero_transform_bypass_flag
    if reader.bits(1):
        for index in range(12 if chroma == 3 else 8):
            if reader.bits(1):
                _skip_scaling_list(reader, 16 if index < 6 else 64)
    return chroma, planes


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    """Section 7.3.2.1.1.1."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed()) % 256
        last = following or last


def _skip_picture_order(reader: BitReader) -> None:
    """pic_order_cnt_type and what depends on it."""
    kind = reader.unsigned()
    if kind == 0:
        reader.unsigned()  # log2_max_pic_order_cnt_lsb_minus4
    elif kind == 1:
        reader.bits(1)  # delta_pic_order_always_zero_flag
        reader.signed()  # offset_for_non_ref_pic
        reader.signed()  # offset_for_top_to_bottom_field
        for _ in range(min(reader.unsigned(), 255)):
            reader.signed()
