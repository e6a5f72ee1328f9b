"""The payload descriptor of VP8: its fields in all forms, and its numbers rewritten without any other change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.vp8_descriptor import parse_descriptor, renumbered, shifted
from tests.media.rtc.packets import vp8_descriptor

INTER_FRAME, KEYFRAME = b"\x01", b"\x00"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x10" + KEYFRAME, (1, True, True, None, 0, None, 0, False)),
        (b"\x10" + INTER_FRAME, (1, True, False, None, 0, None, 0, False)),
        (b"\x11" + KEYFRAME, (1, False, False, None, 0, None, 0, False)),
        (b"\x30" + INTER_FRAME, (1, True, False, None, 0, None, 1, True)),
        (b"\x90\x80\x11" + KEYFRAME, (3, True, True, 0x11, 7, None, 0, False)),
        (b"\x90\x80\x91\x22" + KEYFRAME, (4, True, True, 0x1122, 15, None, 0, False)),
        (b"\x80\xe0\x91\x22\x05\xa0" + KEYFRAME, (6, False, False, 0x1122, 15, 5, 2, True)),
        (b"\x90\x10\x3f" + INTER_FRAME, (3, True, False, None, 0, None, 0, False)),
        (b"\x90\x40\x07" + INTER_FRAME, (3, True, False, None, 0, 7, 0, False)),
    ],
)
def test_the_fields_are_read(payload: bytes, expected: tuple[object, ...]) -> None:
    assert parse_descriptor(payload) == expected


@pytest.mark.parametrize("payload", [b"", b"\x10", b"\x90\x80", b"\x90\x80\x11", b"\x90\x80\x91\x22", b"\x90\x20\x40"])
def test_a_descriptor_without_a_payload_is_none(payload: bytes) -> None:
    assert parse_descriptor(payload) is None


@given(st.binary(max_size=12), st.integers(0, 0x7FFF), st.integers(0, 0xFF))
def test_renumbering_changes_the_numbers_alone(data: bytes, picture_id: int, tl0: int) -> None:
    before = parse_descriptor(data)
    if before is None:
        assert shifted(data, picture_id=picture_id, tl0=tl0) == data
        return
    changed = renumbered(data, before, picture_id=picture_id, tl0=tl0)
    after = parse_descriptor(changed)
    assert after == before._replace(
        picture_id=None if before.picture_id is None else picture_id & (1 << before.id_bits) - 1,
        tl0=None if before.tl0 is None else tl0,
    )
    assert changed[before.size :] == data[before.size :]
    assert renumbered(changed, after, picture_id=before.picture_id, tl0=before.tl0) == data


def test_a_shift_wraps_with_the_size_of_the_field() -> None:
    long, short = (
        vp8_descriptor(picture_id=0x7FFF, tl0=255, temporal_id=1, is_sync=True, is_long=is_long) + INTER_FRAME
        for is_long in (True, False)
    )
    for payload, bits in ((long, 15), (short, 7)):
        after = parse_descriptor(shifted(payload, picture_id=3, tl0=2))
        assert after is not None
        assert (after.picture_id, after.tl0, after.id_bits) == (2, 1, bits)
