"""H.264 packetizer: no payload is too large, and a receiver restores the NAL units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.h264_packetizer import MAX_PAYLOAD_BYTES, packetize, packetize_together
from stagebook.media.media_bus import Unit
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES
from tests.media.ingest import received


def _depacketize(payloads: list[bytes]) -> list[bytes]:
    unit = Unit(kind=MediaKind.VIDEO, timestamp=0, is_keyframe=False, payloads=tuple(payloads))
    return received.nal_units(unit)


def test_the_largest_payload_fits_into_a_down_track_packet() -> None:
    assert MAX_PAYLOAD_BYTES <= MAX_PAYLOAD_SIZE_BYTES


@pytest.mark.parametrize("size", [1, 2, 1_199, 1_200, 1_201, 1_202, 2_397, 2_398, 50_000])
@pytest.mark.parametrize("header", [0x65, 0x41, 0x01])
def test_a_unit_of_any_size_is_restored(size: int, header: int) -> None:
    unit = bytes([header]) + bytes(index % 251 for index in range(size - 1))
    payloads = list(packetize(memoryview(unit)))
    assert all(0 < len(payload) <= MAX_PAYLOAD_BYTES for payload in payloads)
    assert _depacketize(payloads) == [unit]


def test_fragments_mark_the_start_and_the_end_of_the_unit() -> None:
    payloads = list(packetize(b"\x65" + bytes(3_000)))
    assert [payload[:2] for payload in payloads] == [b"\x7c\x85", b"\x7c\x05", b"\x7c\x45"]


def test_small_units_share_a_stap_a() -> None:
    assert list(packetize_together([b"\x67abc", b"\x28d"])) == [b"\x78\x00\x04\x67abc\x00\x02\x28d"]
    assert list(packetize_together([])) == []


@given(st.lists(st.integers(1, 1_500), min_size=2, max_size=4))
def test_units_that_do_not_fit_into_a_stap_a_are_sent_one_by_one(sizes: list[int]) -> None:
    units = [b"\x67" + bytes(size - 1) for size in sizes]
    payloads = list(packetize_together(units))
    assert all(len(payload) <= MAX_PAYLOAD_BYTES for payload in payloads)
    assert _depacketize(payloads) == units
    assert (len(payloads) == 1) == (1 + sum(size + 2 for size in sizes) <= MAX_PAYLOAD_BYTES)
