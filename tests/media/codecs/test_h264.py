"""Keyframe starts, NAL units and slice types of H.264 payloads, with encoded video and random bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.codecs import h264
from stagebook.media.codecs.h264 import (
    MAX_AGGREGATED_UNITS,
    SliceType,
    continues_nal_unit,
    nal_units,
    slice_type,
    starts_keyframe,
)
from stagebook.media.codecs.h264_nal import FU_A, TYPE_MASK
from tests.media.rtc import encoded


@pytest.mark.parametrize("aggregate", [False, True])
def test_only_the_first_payload_of_a_keyframe_starts_a_keyframe(*, aggregate: bool) -> None:
    key, *others = encoded.h264(width=1280, height=720)
    payloads = list(encoded.h264_payloads(key, aggregate=aggregate))
    assert starts_keyframe(payloads[0])
    fragments = [payload for payload in payloads if payload[0] & TYPE_MASK == FU_A]
    assert len(fragments) > 2
    assert starts_keyframe(fragments[0])
    assert not any(starts_keyframe(fragment) for fragment in fragments[1:])
    assert not any(starts_keyframe(payload) for frame in others for payload in encoded.h264_payloads(frame))


def test_a_later_slice_of_a_keyframe_does_not_start_a_keyframe() -> None:
    assert starts_keyframe(b"\x65\x88\x84")
    assert not starts_keyframe(b"\x65\x42\x22")
    assert not starts_keyframe(b"\x7c\x85\x42")


def test_slice_types_are_those_of_the_encoded_stream() -> None:
    frames = encoded.h264(frames=8, b_frames=2, profile="main")
    types = [found for frame in frames for unit in encoded.nal_units(frame) if (found := slice_type(unit))]
    assert types[0] is SliceType.I
    assert set(types) == {SliceType.I, SliceType.P, SliceType.B}
    plain = [slice_type(unit) for frame in encoded.h264(frames=4) for unit in encoded.nal_units(frame)]
    assert [found for found in plain if found] == [SliceType.I, SliceType.P, SliceType.P, SliceType.P]


def test_later_slices_and_other_nal_units_have_no_slice_type() -> None:
    assert slice_type(b"\x41\x40") is None
    assert slice_type(b"\x67\x88") is None
    assert slice_type(b"\x41") is None


def test_nal_units_are_found_in_every_packet_type() -> None:
    assert list(nal_units(b"\x67\x01\x02")) == [b"\x67\x01\x02"]
    assert list(nal_units(b"\x78\x00\x02\x67\x01\x00\x01\x68")) == [b"\x67\x01", b"\x68"]
    assert list(nal_units(b"\x7c\x85\x88")) == [b"\x65\x88"]
    assert list(nal_units(b"\x7c\x05\x88")) == []
    assert list(nal_units(b"\x78\x00\x09\x67")) == []
    assert list(nal_units(b"\x79\x00\x00")) == []


def test_only_later_fragments_continue_a_nal_unit() -> None:
    assert continues_nal_unit(b"\x7c\x05\x88")
    assert continues_nal_unit(b"\x7c\x45\x88")
    assert not continues_nal_unit(b"\x7c\x85\x88")
    assert not continues_nal_unit(b"\x65\x05")
    assert not continues_nal_unit(b"\x7c")


@settings(max_examples=500)
@given(st.binary(max_size=80))
def test_random_bytes_never_raise(data: bytes) -> None:
    for payload in (data, b"\x67" + data, b"\x78" + data, b"\x7c\x87" + data, b"\x65" + data):
        starts_keyframe(payload)
        continues_nal_unit(payload)
        slice_type(payload)
        for unit in nal_units(payload):
            assert unit


def test_only_so_many_units_of_an_aggregation_packet_are_looked_at() -> None:
    payload = b"\x78" + b"\0\1\x41" * 600
    assert len(list(nal_units(payload))) == MAX_AGGREGATED_UNITS
    # An IDR slice behind them does not make the packet a keyframe.
    assert not starts_keyframe(payload + b"\0\2\x65\x88")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x41\x9a", 0),  # a slice that others refer to
        (b"\x01\x9a", 1),  # one that no other refers to
        (b"\x65\x88", 0),
        (b"\x1c\x81\x9a", 1),  # the first fragment of such a slice
        (b"\x1c\x01\x00", 1),  # a later one
        (b"\x5c\x05\x00", 0),
        (b"\x06\x05", None),
        (b"\x67\x42", None),
        (b"\x6e\xc0\x80\x40", 2),  # a prefix with temporal_id 2
        (b"\x18\x00\x04\x0e\xc0\x80\x20\x00\x02\x01\x9a", 1),
        (b"\x6e\x00\x80\x40", None),  # not the header of SVC
        (b"", None),
        (b"\x41", None),
    ],
)
def test_the_temporal_layer_is_that_of_the_prefix_or_of_the_references(payload: bytes, expected: int | None) -> None:
    assert h264.temporal_id(payload) == expected
