"""Sequence parameter sets, with encoded video, hand-made ones and random bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.codecs.h264_sps import parse_sps
from tests.media.rtc import encoded


@pytest.mark.parametrize(
    ("width", "height", "profile", "idc"),
    [
        (1280, 720, "baseline", 66),
        (1920, 1080, "main", 77),
        (854, 480, "high", 100),
        (160, 90, "baseline", 66),
        (642, 362, "high", 100),
    ],
)
def test_the_frame_size_is_cropped(width: int, height: int, profile: str, idc: int) -> None:
    frame = encoded.h264(width=width, height=height, frames=1, profile=profile)[0]
    found = [parameters for unit in encoded.nal_units(frame) if (parameters := parse_sps(unit)) is not None]
    assert [(found[0].width, found[0].height, found[0].profile)] == [(width, height, idc)]
    assert found[0].level > 0
    assert found[0].is_progressive


def _bits(*codes: str) -> bytes:
    """Join strings of binary digits and pad them to whole bytes."""
    digits = "".join(codes)
    return int(digits.ljust(-(-len(digits) // 8) * 8, "0"), 2).to_bytes(-(-len(digits) // 8))


def _ue(value: int) -> str:
    """Encode ue(v) as binary digits."""
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def test_the_height_of_an_interlaced_frame_counts_both_fields() -> None:
    # 120 x 34 macroblock pairs are 1920 x 1088 pixels; 8 rows are cropped at the bottom.
    head = f"{77:08b}" + "0" * 8 + f"{40:08b}"
    fields = [_ue(0), _ue(0), _ue(2), _ue(1), "0", _ue(119), _ue(33), "0", "1", "1"]
    crop = ["1", _ue(0), _ue(0), _ue(0), _ue(2)]
    parameters = parse_sps(b"\x67" + _bits(head, *fields, *crop))
    assert parameters is not None
    assert (parameters.width, parameters.height, parameters.is_progressive) == (1920, 1080, False)


def test_scaling_lists_and_picture_order_count_cycles_are_skipped() -> None:
    head = f"{100:08b}" + "0" * 8 + f"{31:08b}"
    chroma = [_ue(0), _ue(1), _ue(0), _ue(0), "0", "1", "1", *["1"] * 16, "0" * 7]
    order = [_ue(0), _ue(1), "0", _ue(0), _ue(0), _ue(2), _ue(1), _ue(2)]
    size = [_ue(1), "0", _ue(39), _ue(22), "1", "1", "0"]
    parameters = parse_sps(b"\x67" + _bits(head, *chroma, *order, *size))
    assert parameters is not None
    assert (parameters.width, parameters.height) == (640, 368)


def test_emulation_prevention_bytes_are_removed() -> None:
    head = f"{66:08b}" + "0" * 8 + "0" * 8
    rest = [_ue(0), _ue(0), _ue(2), _ue(1), "0", _ue(39), _ue(22), "1", "1", "0"]
    raw = _bits(head, *rest)
    escaped = raw.replace(b"\0\0", b"\0\0\3")
    assert escaped != raw
    assert parse_sps(b"\x67" + escaped) == parse_sps(b"\x67" + raw) is not None


@pytest.mark.parametrize("unit", [b"", b"\x67", b"\x67\x42\x00", b"\x68\xce\x3c\x80", b"\x67" + bytes(300)])
def test_other_and_malformed_nal_units_are_not_parsed(unit: bytes) -> None:
    assert parse_sps(unit) is None


def test_an_sps_with_an_impossible_size_is_not_parsed() -> None:
    head = f"{66:08b}" + "0" * 16
    for width, crop in ((_ue(5_000), "0"), (_ue(0), "1" + _ue(8) + _ue(8) + _ue(0) + _ue(0))):
        unit = b"\x67" + _bits(head, _ue(0), _ue(0), _ue(2), _ue(1), "0", width, _ue(22), "1", "1", crop)
        assert parse_sps(unit) is None


@settings(max_examples=500)
@given(st.binary(max_size=80))
def test_random_bytes_never_raise(data: bytes) -> None:
    for unit in (data, b"\x67" + data):
        parse_sps(unit)
