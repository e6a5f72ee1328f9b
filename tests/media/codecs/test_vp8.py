"""VP8 keyframes and frame sizes, with encoded video and random bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.codecs.vp8 import keyframe_size, starts_keyframe
from tests.media.rtc import encoded

DESCRIPTORS = {
    "none": b"\x10",
    "7-bit picture id": b"\x90\x80\x11",
    "15-bit picture id": b"\x90\x80\x91\x22",
    "everything": b"\x90\xf0\x91\x22\x05\x20",
}


@pytest.mark.parametrize("descriptor", DESCRIPTORS.values(), ids=DESCRIPTORS.keys())
def test_only_the_first_packet_of_a_keyframe_starts_a_keyframe(descriptor: bytes) -> None:
    key, *others = encoded.vp8(width=854, height=480)
    first, *rest = encoded.vp8_payloads(key, descriptor=descriptor)
    assert starts_keyframe(first)
    assert keyframe_size(first) == (854, 480)
    assert rest
    for payload in [*rest, *(payload for frame in others for payload in encoded.vp8_payloads(frame))]:
        assert not starts_keyframe(payload)
        assert keyframe_size(payload) is None


def test_a_later_partition_does_not_start_a_keyframe() -> None:
    assert not starts_keyframe(b"\x11\x00")


@pytest.mark.parametrize("payload", [b"", b"\x10", b"\x90", b"\x90\x80", b"\x90\x80\x80\x00", b"\x90\xf0\x11"])
def test_a_truncated_payload_does_not_start_a_keyframe(payload: bytes) -> None:
    assert not starts_keyframe(payload)


def test_a_keyframe_without_start_code_or_with_size_zero_has_no_size() -> None:
    assert keyframe_size(b"\x10" + bytes(10)) is None
    assert keyframe_size(b"\x10\0\0\0\x9d\x01\x2a" + bytes(4)) is None
    assert keyframe_size(b"\x10\0\0\0\x9d\x01\x2a\x02") is None


def test_the_scaling_bits_are_removed_from_the_size() -> None:
    assert keyframe_size(b"\x10\0\0\0\x9d\x01\x2a" + b"\x80\x42" + b"\x68\x81") == (640, 360)


@settings(max_examples=300)
@given(st.binary(max_size=40))
def test_random_bytes_never_raise(data: bytes) -> None:
    for payload in (data, b"\x10" + data, b"\x90" + data):
        starts_keyframe(payload)
        keyframe_size(payload)
