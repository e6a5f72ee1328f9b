"""Keyframes, parameter sets and slice types, read from really encoded video and from noise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.codecs import h264
from stagebook.media.codecs.h264 import SliceType, nal_units, parse_sps, slice_type, starts_keyframe
from tests.media.rtc import encoded


@pytest.mark.parametrize("aggregate", [False, True])
def test_only_the_beginning_of_a_keyframe_starts_one(*, aggregate: bool) -> None:
    key, *others = encoded.h264(width=1280, height=720)
    payloads = list(encoded.h264_payloads(key, aggregate=aggregate))
    assert starts_keyframe(payloads[0])
    fragments = [payload for payload in payloads if payload[0] & 0x1F == 28]
    assert len(fragments) > 2
    assert starts_keyframe(fragments[0])
    assert not any(starts_keyframe(fragment) for fragment in fragments[1:])
    assert not any(starts_keyframe(payload) for picture in others for payload in encoded.h264_payloads(picture))


def test_a_later_slice_of_a_keyframe_does_not_start_it() -> None:
    assert starts_keyframe(b"\x65\x88\x84")
    assert not starts_keyframe(b"\x65\x42\x22")
    assert not starts_keyframe(b"\x7c\x85\x42")


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
def test_the_size_in_an_sps_is_cropped(width: int, height: int, profile: str, idc: int) -> None:
    picture = encoded.h264(width=width, height=height, frames=1, profile=profile)[0]
    found = [parameters for unit in encoded.nal_units(picture) if (parameters := parse_sps(unit)) is not None]
    assert [(found[0].width, found[0].height, found[0].profile)] == [(width, height, idc)]
    assert found[0].level > 0
    assert found[0].is_progressive


def _bits(*codes: str) -> bytes:
    text = "".join(codes)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8))


def _ue(value: int) -> str:
    text = f"{value + 1:b}"
    return "0" * (len(text) - 1) + text


def test_an_interlaced_sps_counts_both_fields() -> None:
    # 120 x 34 macroblocks of field pairs, four rows of pixels cropped below: 1920 x 1080.
    head = f"{77:08b}" + "0" * 8 + f"{40:08b}"
    fields = [_ue(0), _ue(0), _ue(2), _ue(1), "0", _ue(119), _ue(33), "0", "1", "1"]
    crop = ["1", _ue(0), _ue(0), _ue(0), _ue(2)]
    parameters = parse_sps(b"\x67" + _bits(head, *fields, *crop))
    assert parameters is not None
    assert (parameters.width, parameters.height, parameters.is_progressive) == (1920, 1080, False)


def test_scaling_lists_and_picture_order_cycles_are_stepped_over() -> None:
    head = f"{100:08b}" + "0" * 8 + f"{31:08b}"
    chroma = [_ue(0), _ue(1), _ue(0), _ue(0), "0", "1", "1", *["1"] * 16, "0" * 7]
    order = [_ue(0), _ue(1), "0", _ue(0), _ue(0), _ue(2), _ue(1), _ue(2)]
    size = [_ue(1), "0", _ue(39), _ue(22), "1", "1", "0"]
    parameters = parse_sps(b"\x67" + _bits(head, *chroma, *order, *size))
    assert parameters is not None
    assert (parameters.width, parameters.height) == (640, 368)


def test_emulation_prevention_is_removed() -> None:
    head = f"{66:08b}" + "0" * 8 + "0" * 8
    rest = [_ue(0), _ue(0), _ue(2), _ue(1), "0", _ue(39), _ue(22), "1", "1", "0"]
    raw = _bits(head, *rest)
    escaped = raw.replace(b"\0\0", b"\0\0\3")
    assert escaped != raw
    assert parse_sps(b"\x67" + escaped) == parse_sps(b"\x67" + raw) is not None


@pytest.mark.parametrize("unit", [b"", b"\x67", b"\x67\x42\x00", b"\x68\xce\x3c\x80", b"\x67" + bytes(300)])
def test_what_is_no_sps_says_nothing(unit: bytes) -> None:
    assert parse_sps(unit) is None


def test_an_sps_of_impossible_size_says_nothing() -> None:
    head = f"{66:08b}" + "0" * 16
    for width, crop in ((_ue(5_000), "0"), (_ue(0), "1" + _ue(8) + _ue(8) + _ue(0) + _ue(0))):
        unit = b"\x67" + _bits(head, _ue(0), _ue(0), _ue(2), _ue(1), "0", width, _ue(22), "1", "1", crop)
        assert parse_sps(unit) is None


def test_the_slice_types_of_a_stream_are_those_it_was_encoded_with() -> None:
    pictures = encoded.h264(frames=8, b_frames=2, profile="main")
    types = [found for picture in pictures for unit in encoded.nal_units(picture) if (found := slice_type(unit))]
    assert types[0] is SliceType.I
    assert set(types) == {SliceType.I, SliceType.P, SliceType.B}
    plain = [slice_type(unit) for picture in encoded.h264(frames=4) for unit in encoded.nal_units(picture)]
    assert [found for found in plain if found] == [SliceType.I, SliceType.P, SliceType.P, SliceType.P]


def test_later_slices_and_other_units_have_no_slice_type() -> None:
    assert slice_type(b"\x41\x40") is None
    assert slice_type(b"\x67\x88") is None
    assert slice_type(b"\x41") is None


def test_units_are_found_in_every_kind_of_packet() -> None:
    assert list(nal_units(b"\x67\x01\x02")) == [b"\x67\x01\x02"]
    assert list(nal_units(b"\x78\x00\x02\x67\x01\x00\x01\x68")) == [b"\x67\x01", b"\x68"]
    assert list(nal_units(b"\x7c\x85\x88")) == [b"\x65\x88"]
    assert list(nal_units(b"\x7c\x05\x88")) == []
    assert list(nal_units(b"\x78\x00\x09\x67")) == []
    assert list(nal_units(b"\x79\x00\x00")) == []


@settings(max_examples=500)
@given(st.binary(max_size=80))
def test_noise_never_raises(noise: bytes) -> None:
    for payload in (noise, b"\x67" + noise, b"\x78" + noise, b"\x7c\x87" + noise, b"\x65" + noise):
        starts_keyframe(payload)
        parse_sps(payload)
        slice_type(payload)
        for unit in nal_units(payload):
            assert unit
    assert h264.SPS == 7
