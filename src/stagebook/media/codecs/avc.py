"""H.264 as FLV carries it (ISO/IEC 14496-15): the configuration record, and length-prefixed NAL units.

An AVCDecoderConfigurationRecord (section 5.3.3.1) comes first. It holds the parameter sets and says how many bytes the
length before each NAL unit has:

    configurationVersion = 1, AVCProfileIndication, profile_compatibility, AVCLevelIndication    1 byte each
    lengthSizeMinusOne                       in the lower 2 bits of a byte
    numOfSequenceParameterSets               in the lower 5 bits of a byte, then (16-bit length, SPS) for each
    numOfPictureParameterSets                1 byte, then (16-bit length, PPS) for each
    chroma format and bit depths             only for High profiles; the SPS has them too

Stagebook forwards the video as it is, so the record must describe video that every browser decodes: Baseline, Main or
High profile, progressive, 8 bits, 4:2:0.

Some encoders send a byte stream (`annex_b`) in place of the record, of the length-prefixed NAL units, or of both. It is
accepted.
"""

from typing import TypeAlias

import msgspec

from stagebook.media.codecs.annex_b import begins_with_start_code, split_byte_stream
from stagebook.media.codecs.bit_reader import BitReader, OutOfBitsError
from stagebook.media.codecs.h264_nal import FORBIDDEN_ZERO_BIT, PPS, SPS, TYPE_MASK
from stagebook.media.codecs.h264_sps import parse_sps
from stagebook.media.codecs.input_fault import InputFaultError, invalid_input, unsupported_video

MAX_PARAMETER_SETS_BYTES = 8_192
"""Maximum size of a stream's parameter sets together. They are sent before every keyframe."""
_MAX_UNITS = 1_024
"""More slices than a level allows in one frame (H.264 table A-1), and a bound of the work for one message."""
_BYTE_STREAM_LENGTH_SIZE_BYTES = 4
"""The length size after a configuration that is a byte stream, in case that only the configuration is one."""

_HIGH = 100
_CHROMA_420 = 1
_PROFILES = frozenset({66, 77, _HIGH})
"""Baseline, Main and High. They have 8 bits, and 4:2:0 chroma or (High only) none."""
_OTHER_PROFILE_NAMES = {
    44: "CAVLC 4:4:4 Intra",
    88: "Extended",
    110: "High 10",
    118: "Multiview High",
    122: "High 4:2:2",
    128: "Stereo High",
    244: "High 4:4:4 Predictive",
}
_MIN_RECORD_BYTES = 7
_MAX_ID_BYTES = 16
"""More than the first two Exp-Golomb codes of a parameter set take."""


ParameterSets: TypeAlias = dict[tuple[int, int], bytes]
"""Parameter sets by NAL unit type and id. A later parameter set with the same key replaces the earlier one."""


class AvcConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a configuration record. `length_size_bytes` is 1, 2 or 4."""

    length_size_bytes: int
    parameter_sets: ParameterSets


def parse_decoder_configuration(data: memoryview) -> AvcConfiguration:
    """Parse an AVCDecoderConfigurationRecord, or parameter sets as a byte stream. Checks that the video is accepted.

    Raises InputFaultError: VIDEO_CODEC for video that browsers do not decode, INPUT for a malformed record.
    """
    if begins_with_start_code(data):  # A record begins with 01.
        units = [bytes(unit) for unit in split_byte_stream(data, max_units=_MAX_UNITS)]
        return _make_configuration([unit for unit in units if is_parameter_set(unit)], _BYTE_STREAM_LENGTH_SIZE_BYTES)
    if len(data) < _MIN_RECORD_BYTES or data[0] != 1:
        raise invalid_input("the H.264 configuration is truncated or has another version than 1")
    length_size_bytes = (data[4] & 0x03) + 1
    if length_size_bytes == 3:
        raise invalid_input("the H.264 configuration has a length size of 3 bytes; it must be 1, 2 or 4")
    sequence_sets, position = _read_units(data, position=6, count=data[5] & 0x1F)
    if position >= len(data):
        raise invalid_input("the H.264 configuration is truncated")
    picture_sets, _ = _read_units(data, position=position + 1, count=data[position])
    return _make_configuration([*sequence_sets, *picture_sets], length_size_bytes)


def _make_configuration(units: list[bytes], length_size_bytes: int) -> AvcConfiguration:
    parameter_sets = {parameter_set_key(unit): unit for unit in units}
    check_parameter_sets(parameter_sets)
    return AvcConfiguration(length_size_bytes=length_size_bytes, parameter_sets=parameter_sets)


def is_parameter_set(unit: bytes | memoryview) -> bool:
    """Whether a NAL unit, which is not empty, is an SPS or a PPS."""
    return unit[0] & TYPE_MASK in (SPS, PPS)


def parameter_set_key(unit: bytes) -> tuple[int, int]:
    """The (NAL unit type, id) of a parameter set. Raises InputFaultError (INPUT) for any other NAL unit."""
    nal_type = unit[0] & TYPE_MASK if unit else 0
    if nal_type not in (SPS, PPS):
        raise invalid_input("the H.264 configuration holds a NAL unit that is not a parameter set")
    # The id is the first field of a PPS. In an SPS it follows profile, constraints and level.
    return nal_type, _read_codes(unit[4 if nal_type == SPS else 1 :], count=1)[0]


def check_parameter_sets(parameter_sets: ParameterSets) -> None:
    """Check that there is an SPS and a PPS, that they are not too large, and that the video is accepted.

    Raises InputFaultError: VIDEO_CODEC or INPUT.
    """
    if {nal_type for nal_type, _ in parameter_sets} != {SPS, PPS}:
        raise invalid_input("the H.264 configuration lacks an SPS or a PPS")
    check_parameter_sets_size(parameter_sets)
    for (nal_type, _), unit in parameter_sets.items():
        if nal_type == SPS:
            _check_sps(unit)


def check_parameter_sets_size(parameter_sets: ParameterSets) -> None:
    """Check that the parameter sets are not too large together. Raises InputFaultError (INPUT)."""
    size_bytes = sum(map(len, parameter_sets.values()))
    if size_bytes > MAX_PARAMETER_SETS_BYTES:
        raise invalid_input(
            f"the H.264 parameter sets have {size_bytes} bytes; at most {MAX_PARAMETER_SETS_BYTES} are allowed"
        )


def split_nal_units(data: memoryview, *, length_size_bytes: int) -> list[memoryview]:
    """Split one message into its NAL units, each with its header.

    Empty units and zero bytes behind the last unit are left out: some encoders pad their messages. If the lengths are
    wrong and the message begins with a start code, it is read as a byte stream (`annex_b`). The lengths are tried
    first, because a length may look like a start code.

    Raises InputFaultError (INPUT) if a length exceeds the message, a unit's forbidden_zero_bit is set, or there are too
    many units.
    """
    try:
        return _split_by_lengths(data, length_size_bytes)
    except InputFaultError:
        if not begins_with_start_code(data):
            raise
        return split_byte_stream(data, max_units=_MAX_UNITS)


def _split_by_lengths(data: memoryview, length_size_bytes: int) -> list[memoryview]:
    units: list[memoryview] = []
    position, end = 0, len(data)
    content_end: int | None = None
    for _ in range(_MAX_UNITS + 1):
        if position == end:
            return units
        length_position, start = position, position + length_size_bytes
        position = start + int.from_bytes(data[length_position:start])
        if start < position <= end:
            if data[start] & FORBIDDEN_ZERO_BIT:
                raise invalid_input(f"the video is malformed: a NAL unit begins with the byte {data[start]:#04x}")
            units.append(data[start:position])
            continue
        # An empty unit, a wrong length, or padding. Where the padding begins is searched once, and only here, because
        # the search copies the message.
        if content_end is None:
            content_end = len(bytes(data).rstrip(b"\0"))
        if length_position >= content_end:
            return units
        if position > end:
            raise invalid_input("the video is malformed: a NAL unit is longer than the message that holds it")
    raise invalid_input(f"one message has more than {_MAX_UNITS} NAL units")


def _read_units(data: memoryview, *, position: int, count: int) -> tuple[list[bytes], int]:
    """Read `count` NAL units, each after a 16-bit length. Returns them and the position after them."""
    units = []
    for _ in range(count):
        start = position + 2
        position = start + int.from_bytes(data[position:start])
        if start > len(data) or position > len(data):
            raise invalid_input("the H.264 configuration is truncated")
        units.append(bytes(data[start:position]))
    return units, position


def _check_sps(unit: bytes) -> None:
    parameters = parse_sps(unit)
    if parameters is None:
        raise invalid_input("the H.264 configuration has an SPS that cannot be parsed")
    if parameters.profile not in _PROFILES:
        name = _OTHER_PROFILE_NAMES.get(parameters.profile, str(parameters.profile))
        raise unsupported_video(f"the video is H.264 with the profile {name}; it must be Baseline, Main or High")
    if not parameters.is_progressive:
        raise unsupported_video("the video is interlaced H.264; it must be progressive")
    if parameters.profile == _HIGH and _chroma_format(unit) != _CHROMA_420:
        raise unsupported_video("the video is monochrome H.264; it must have 4:2:0 chroma")


def _chroma_format(unit: bytes) -> int:
    """chroma_format_idc of a High profile's SPS: the second code after level_idc (H.264 section 7.3.2.1.1)."""
    return _read_codes(unit[4:], count=2)[1]


def _read_codes(data: bytes, *, count: int) -> list[int]:
    """Read the first `count` Exp-Golomb codes, at most two.

    They are ids and a chroma format. Such small values have no run of zero bits that needs an emulation prevention
    byte, so none is removed.
    """
    reader = BitReader(data[:_MAX_ID_BYTES])
    try:
        return [reader.unsigned() for _ in range(count)]
    except OutOfBitsError:
        raise invalid_input("the H.264 configuration has a parameter set that cannot be parsed") from None
