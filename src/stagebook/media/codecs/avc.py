"""H.264 as FLV carries it (ISO/IEC 14496-15): the configuration record, and NAL units behind their lengths.

Decides which H.264 is ours to carry. Knows no RTP and no time.
"""

from typing import TypeAlias

import msgspec

from stagebook.media.codecs.bit_reader import BitReader, OutOfBitsError
from stagebook.media.codecs.h264 import parse_sps
from stagebook.media.codecs.input_fault import broken, wrong_video

SLICE = 1
IDR = 5
SEI = 6
SPS = 7
PPS = 8
TYPE = 0x1F

_FORBIDDEN_BIT = 0x80
_MAX_UNITS = 1_024
MAX_PARAMETER_SETS_BYTES = 8_192
"""All parameter sets of a stream: they go before every keyframe."""

_HIGH = 100
_CHROMA_420 = 1
_PROFILES = frozenset({66, 77, _HIGH})
"""Baseline, Main and High: 8 bits, 4:2:0."""
_OTHER_PROFILES = {
    44: "CAVLC 4:4:4 Intra",
    88: "Extended",
    110: "High 10",
    118: "Multiview High",
    122: "High 4:2:2",
    128: "Stereo High",
    244: "High 4:4:4 Predictive",
}


ParameterSets: TypeAlias = dict[tuple[int, int], bytes]
"""Parameter sets by their NAL unit type and id: a later one with both the same takes an earlier one's place."""


class AvcConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """How many bytes each length has (1, 2 or 4), and the parameter sets."""

    length_size_bytes: int
    parameter_sets: ParameterSets


def read_configuration(data: memoryview) -> AvcConfiguration:
    """Read an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1); what High profiles add is not needed.

    Raises InputFaultError: VIDEO_CODEC for a profile that browsers do not decode, INPUT for a broken record.
    """
    if len(data) < 7 or data[0] != 1:
        raise broken("the H.264 configuration is cut short or of another version than 1")
    length_size_bytes = (data[4] & 0x03) + 1
    if length_size_bytes == 3:
        raise broken("the H.264 configuration says that lengths have 3 bytes; it must be 1, 2 or 4")
    sequence_sets, position = _sets(data, position=6, count=data[5] & 0x1F)
    if position >= len(data):
        raise broken("the H.264 configuration is cut short")
    picture_sets, _ = _sets(data, position=position + 1, count=data[position])
    parameter_sets = {key(unit): unit for unit in (*sequence_sets, *picture_sets)}
    check(parameter_sets)
    return AvcConfiguration(length_size_bytes=length_size_bytes, parameter_sets=parameter_sets)


def key(unit: bytes) -> tuple[int, int]:
    """The NAL unit type and id of a parameter set. Raises InputFaultError (INPUT) for anything else."""
    kind = unit[0] & TYPE if unit else 0
    if kind not in (SPS, PPS):
        raise broken("the H.264 configuration holds something that is no parameter set")
    # An id is the first thing in a PPS, and comes after profile, constraints and level in an SPS.
    return kind, _codes(unit[4 if kind == SPS else 1 :], count=1)[0]


def check(parameter_sets: ParameterSets) -> None:
    """Check that there are both kinds and that the profile is ours: 8-bit 4:2:0 whole pictures.

    Raises InputFaultError: VIDEO_CODEC or INPUT.
    """
    if {kind for kind, _ in parameter_sets} != {SPS, PPS}:
        raise broken("the H.264 configuration lacks an SPS or a PPS")
    size_bytes = sum(map(len, parameter_sets.values()))
    if size_bytes > MAX_PARAMETER_SETS_BYTES:
        raise broken(f"the H.264 parameter sets have {size_bytes} bytes; at most {MAX_PARAMETER_SETS_BYTES} are taken")
    for (kind, _), unit in parameter_sets.items():
        if kind == SPS:
            _check_sps(unit)


def split(data: memoryview, *, length_size_bytes: int) -> list[memoryview]:
    """The NAL units of one message, each with its header; empty ones are left out.

    Raises InputFaultError (INPUT) if a length does not fit, or a unit's first bit is not zero as it must be.
    """
    units: list[memoryview] = []
    position, end = 0, len(data)
    for _ in range(_MAX_UNITS + 1):
        if position == end:
            return units
        start = position + length_size_bytes
        position = start + int.from_bytes(data[position:start])
        if start > end or position > end:
            raise broken("the video is garbage: a NAL unit is longer than the message that holds it")
        if position > start:
            if data[start] & _FORBIDDEN_BIT:
                raise broken(f"the video is garbage: a NAL unit begins with the byte {data[start]:#04x}")
            units.append(data[start:position])
    raise broken(f"one message has more than {_MAX_UNITS} NAL units")


def _sets(data: memoryview, *, position: int, count: int) -> tuple[list[bytes], int]:
    """(`count` units from `position` on, each behind a length in two bytes; where they end)."""
    units = []
    for _ in range(count):
        start = position + 2
        position = start + int.from_bytes(data[position:start])
        if start > len(data) or position > len(data):
            raise broken("the H.264 configuration is cut short")
        units.append(bytes(data[start:position]))
    return units, position


def _check_sps(unit: bytes) -> None:
    parameters = parse_sps(unit)
    if parameters is None:
        raise broken("the H.264 configuration has an SPS that cannot be read")
    if parameters.profile not in _PROFILES:
        name = _OTHER_PROFILES.get(parameters.profile, str(parameters.profile))
        raise wrong_video(f"the video is H.264 with the profile {name}; it must be Baseline, Main or High")
    if not parameters.is_progressive:
        raise wrong_video("the video is interlaced H.264; it must be progressive")
    if parameters.profile == _HIGH and _chroma_format(unit) != _CHROMA_420:
        raise wrong_video("the video is H.264 without colour; it must have 4:2:0 chroma")


def _chroma_format(unit: bytes) -> int:
    """chroma_format_idc of an SPS that has one: behind profile, constraints, level and the set's id (7.3.2.1.1)."""
    return _codes(unit[4:], count=2)[1]


def _codes(data: bytes, *, count: int) -> list[int]:
    """The first Exp-Golomb codes: so small that no emulation prevention stands among them."""
    reader = BitReader(data[:16])
    try:
        return [reader.unsigned() for _ in range(count)]
    except OutOfBitsError:
        raise broken("the H.264 configuration has a parameter set that cannot be read") from None
