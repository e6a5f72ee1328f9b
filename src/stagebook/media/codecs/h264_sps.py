"""The H.264 sequence parameter set (ITU-T H.264 section 7.3.2.1.1): profile, level and frame size.

The frame size is not written as such. It is the number of macroblocks (16 x 16 pixels) in both directions, less a
cropping rectangle whose unit depends on the chroma format, and all of it follows fields of variable length. The parser
reads up to the cropping rectangle and skips the rest.
"""

import msgspec

from stagebook.media.codecs.bit_reader import BitReader, OutOfBitsError
from stagebook.media.codecs.h264_nal import SPS, TYPE_MASK

_MAX_SPS_BYTES = 1_024
"""More than the fields up to the cropping rectangle need, even with all scaling lists."""
_MAX_SIZE_PIXELS = 16_384

_MACROBLOCK_PIXELS = 16
_CHROMA_420 = 1
_CHROMA_422 = 2
_CHROMA_444 = 3
_MAX_REF_FRAMES_IN_CYCLE = 255

_PROFILES_WITH_CHROMA_FORMAT = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""The profile_idc values whose SPS has chroma_format_idc and the fields after it."""


class SequenceParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an SPS that Stagebook uses. `width` and `height` are cropped, in pixels.

    `is_progressive` is frame_mbs_only_flag: without it, frames may be coded as two interlaced fields.
    """

    profile: int
    constraints: int
    level: int
    width: int
    height: int
    is_progressive: bool


def parse_sps(unit: bytes) -> SequenceParameters | None:
    """Parse an SPS NAL unit with its header. None for another NAL unit, a malformed one, or an impossible size."""
    if not unit or unit[0] & TYPE_MASK != SPS:
        return None
    # Remove the emulation prevention bytes (section 7.4.1.1).
    reader = BitReader(unit[1:_MAX_SPS_BYTES].replace(b"\0\0\3", b"\0\0"))
    try:
        profile, constraints, level = reader.bits(8), reader.bits(8), reader.bits(8)
        width, height, is_progressive = _frame_size(reader, profile)
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


def _frame_size(reader: BitReader, profile: int) -> tuple[int, int, bool]:
    """Read (width, height, is_progressive) from what follows level_idc. Raises OutOfBitsError."""
    reader.unsigned()  # seq_parameter_set_id
    has_chroma_format = profile in _PROFILES_WITH_CHROMA_FORMAT
    chroma_format, has_separate_planes = _read_chroma_format(reader) if has_chroma_format else (_CHROMA_420, False)
    reader.unsigned()  # log2_max_frame_num_minus4
    _skip_picture_order_count(reader)
    reader.unsigned()  # max_num_ref_frames
    reader.bits(1)  # gaps_in_frame_num_value_allowed_flag
    width = (reader.unsigned() + 1) * _MACROBLOCK_PIXELS
    map_height = (reader.unsigned() + 1) * _MACROBLOCK_PIXELS
    frame_mbs_only = reader.bits(1)
    if not frame_mbs_only:
        reader.bits(1)  # mb_adaptive_frame_field_flag
    height = map_height * (2 - frame_mbs_only)
    reader.bits(1)  # direct_8x8_inference_flag
    if reader.bits(1):  # frame_cropping_flag
        # CropUnitX and CropUnitY (section 7.4.2.1.1) from SubWidthC and SubHeightC (table 6-1).
        is_subsampled = not has_separate_planes
        crop_unit_x = 2 if chroma_format in (_CHROMA_420, _CHROMA_422) and is_subsampled else 1
        crop_unit_y = (2 if chroma_format == _CHROMA_420 and is_subsampled else 1) * (2 - frame_mbs_only)
        left, right, top, bottom = (reader.unsigned() for _ in range(4))
        width -= (left + right) * crop_unit_x
        height -= (top + bottom) * crop_unit_y
    return width, height, bool(frame_mbs_only)


def _read_chroma_format(reader: BitReader) -> tuple[int, bool]:
    """Read (chroma_format_idc, separate_colour_plane_flag) and skip the bit depths and scaling lists after them."""
    chroma_format = reader.unsigned()
    has_separate_planes = bool(reader.bits(1)) if chroma_format == _CHROMA_444 else False
    reader.unsigned()  # bit_depth_luma_minus8
    reader.unsigned()  # bit_depth_chroma_minus8
    reader.bits(1)  # qpprime_y_zero_transform_bypass_flag
    if reader.bits(1):  # seq_scaling_matrix_present_flag
        for index in range(12 if chroma_format == _CHROMA_444 else 8):
            if reader.bits(1):  # seq_scaling_list_present_flag
                _skip_scaling_list(reader, 16 if index < 6 else 64)
    return chroma_format, has_separate_planes


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    """Skip a scaling_list (section 7.3.2.1.1.1). A next scale of 0 means that the rest repeats the last one."""
    last_scale = next_scale = 8
    for _ in range(size):
        if next_scale:
            next_scale = (last_scale + reader.signed()) % 256
        last_scale = next_scale or last_scale


def _skip_picture_order_count(reader: BitReader) -> None:
    """Skip pic_order_cnt_type and the fields that depend on it."""
    pic_order_cnt_type = reader.unsigned()
    if pic_order_cnt_type == 0:
        reader.unsigned()  # log2_max_pic_order_cnt_lsb_minus4
    elif pic_order_cnt_type == 1:
        reader.bits(1)  # delta_pic_order_always_zero_flag
        reader.signed()  # offset_for_non_ref_pic
        reader.signed()  # offset_for_top_to_bottom_field
        for _ in range(min(reader.unsigned(), _MAX_REF_FRAMES_IN_CYCLE)):
            reader.signed()  # offset_for_ref_frame
