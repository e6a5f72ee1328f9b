"""Parsing RTP packets and their header extensions (RFC 3550 section 5, RFC 8285)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.rtp.rtp_packet import (
    MAX_EXTENSION_SIZE_BYTES,
    extension_value,
    parse_rtp,
    sequence_distance,
    timestamp_distance,
)
from tests.media.rtc.packets import one_byte_extension, rtp

WORD = st.integers(0, 0xFFFFFFFF)


@given(st.integers(0, 127), st.integers(0, 0xFFFF), WORD, WORD, st.integers(0, 1), st.binary(max_size=50))
def test_a_packet_is_parsed_into_the_fields_it_was_made_of(
    payload_type: int, sequence: int, timestamp: int, ssrc: int, marker: int, payload: bytes
) -> None:
    packet = rtp(
        payload, payload_type=payload_type, sequence=sequence, timestamp=timestamp, ssrc=ssrc, marker=bool(marker)
    )
    assert parse_rtp(packet) == (payload_type, marker, sequence, timestamp, ssrc, payload, b"")


def test_contributing_sources_extension_and_padding_are_not_payload() -> None:
    plain = rtp(b"", extension=b"")
    packet = bytes([0x80 | 0x20 | 0x10 | 2]) + plain[1:] + bytes(8) + one_byte_extension({1: b"a"}) + b"payload\0\0\3"
    parsed = parse_rtp(packet)
    assert parsed is not None
    assert parsed.payload == b"payload"
    assert extension_value(parsed.extension, 1) == b"a"


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"", id="empty"),
        pytest.param(rtp(b"")[:-1], id="truncated header"),
        pytest.param(b"\x40" + rtp()[1:], id="version 1"),
        pytest.param(b"\x8f" + rtp()[1:], id="truncated contributing sources"),
        pytest.param(b"\x90" + rtp(b"\xbe\xde\x00\x02abcd")[1:], id="truncated extension"),
        pytest.param(b"\x90" + rtp(b"\xbe")[1:], id="truncated extension header"),
        pytest.param(b"\xa0" + rtp(b"a\0")[1:], id="padding of 0"),
        pytest.param(b"\xa0" + rtp(b"a\x09")[1:], id="padding longer than the payload"),
    ],
)
def test_a_packet_with_wrong_lengths_is_rejected(packet: bytes) -> None:
    assert parse_rtp(packet) is None


@given(st.binary(max_size=64))
def test_arbitrary_bytes_raise_nothing(noise: bytes) -> None:
    parse_rtp(noise)
    for element_id in (0, 1, 14, 15):
        extension_value(noise, element_id)
        extension_value(b"\xbe\xde" + noise, element_id)
        extension_value(b"\x10\x00" + noise, element_id)


@given(st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16), max_size=4))
def test_every_one_byte_element_is_found_by_its_id(elements: dict[int, bytes]) -> None:
    block = one_byte_extension(elements)
    assert {element_id: extension_value(block, element_id) for element_id in range(1, 15)} == {
        element_id: elements.get(element_id) for element_id in range(1, 15)
    }


def test_two_byte_elements_are_found_and_padding_is_skipped() -> None:
    block = b"\x10\x00\x00\x02" + b"\x00" + b"\x07\x02hi" + b"\x08\x00" + b"\x00"
    assert extension_value(block, 7) == b"hi"
    assert extension_value(block, 8) == b""
    assert extension_value(block, 9) is None


@settings(max_examples=50)
@given(st.integers(0, 0xFFFF), st.integers(-0x8000, 0x7FFF))
def test_a_distance_is_the_added_number_across_the_wrap(start: int, ahead: int) -> None:
    assert sequence_distance((start + ahead) & 0xFFFF, start) == ahead
    assert timestamp_distance((start + ahead) & 0xFFFFFFFF, start) == ahead


def test_an_extension_is_searched_only_as_far_as_one_is_plausible() -> None:
    element = b"\x10a"
    for zeros, expected in ((200, b"a"), (MAX_EXTENSION_SIZE_BYTES, None)):
        assert extension_value(b"\xbe\xde\0\0" + bytes(zeros) + element, 1) == expected
