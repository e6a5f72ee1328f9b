"""Parameter sets: kept from payloads and from the session description, and supplied for keyframes without them."""

import base64
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs import h264_sps
from stagebook.media.codecs.h264 import nal_units
from stagebook.media.codecs.h264_parameter_sets import MAX_PARAMETER_SETS_BYTES, ParameterSets
from tests.media.rtc import encoded

SPS, PPS, *_ = encoded.nal_units(encoded.h264()[0])
OTHER_SPS, OTHER_PPS, *_ = encoded.nal_units(encoded.h264(width=320, height=240)[0])
IDR = b"\x65\x88" + bytes(20)
IDR_START = b"\x7c\x85\x88" + bytes(20)
"""The first fragment (FU-A) of an IDR slice."""
IDR_LATER_FRAGMENT = b"\x7c\x05" + bytes(20)
DELTA = b"\x61\x9a" + bytes(20)


def stap_a(*units: bytes) -> bytes:
    return b"\x78" + b"".join(len(unit).to_bytes(2) + unit for unit in units)


def sps_with_id(number: int, size_bytes: int) -> bytes:
    """An SPS whose id is `number`, 1 to 2, padded to a size. Its other fields are not valid."""
    return b"\x67\x42\xc0\x1f" + {1: b"\x40", 2: b"\x60"}[number] + b"\xff" * (size_bytes - 5)


@pytest.mark.parametrize("start", [IDR, IDR_START])
def test_sets_sent_once_are_supplied_for_later_keyframes_and_once_for_each(start: bytes) -> None:
    sets = ParameterSets()
    assert [sets.missing_before(payload, 1) for payload in (SPS, PPS, start)] == [None] * 3
    assert sets.missing_before(DELTA, 2) is None
    assert sets.missing_before(start, 3) == stap_a(SPS, PPS)
    assert [sets.missing_before(payload, 3) for payload in (IDR_LATER_FRAGMENT, IDR)] == [None] * 2
    assert sets.missing_before(start, 4) == stap_a(SPS, PPS)


def test_sets_in_one_aggregation_packet_are_kept_and_count_for_their_frame() -> None:
    sets = ParameterSets()
    assert sets.missing_before(stap_a(SPS, PPS), 1) is None
    assert sets.missing_before(IDR_START, 1) is None
    assert sets.missing_before(stap_a(SPS, PPS, IDR), 2) is None
    assert sets.missing_before(IDR_START, 3) == stap_a(SPS, PPS)


def test_a_keyframe_with_one_kind_of_set_gets_both() -> None:
    sets = ParameterSets()
    for payload in (SPS, PPS, IDR):
        sets.missing_before(payload, 1)
    assert sets.missing_before(SPS, 2) is None
    assert sets.missing_before(IDR, 2) == stap_a(SPS, PPS)


def test_signalled_sets_are_used_until_the_stream_brings_newer_ones() -> None:
    signalled = ",".join(base64.b64encode(unit).decode() for unit in (SPS, PPS))
    sets = ParameterSets(signalled)
    assert sets.size == (640, 360)
    assert sets.missing_before(IDR, 1) == stap_a(SPS, PPS)
    for payload in (OTHER_SPS, OTHER_PPS, IDR):
        assert sets.missing_before(payload, 2) is None
    assert sets.size == (320, 240)
    assert sets.missing_before(IDR, 3) == stap_a(OTHER_SPS, OTHER_PPS)


@pytest.mark.parametrize("signalled", ["", ",", "====", "Zw", "not base64!", "é", base64.b64encode(DELTA).decode()])
def test_without_known_sets_nothing_is_supplied(signalled: str) -> None:
    assert ParameterSets(signalled).missing_before(IDR, 1) is None


def test_the_size_of_the_kept_sets_is_bounded_and_the_newest_are_kept() -> None:
    sets = ParameterSets()
    large, larger = sps_with_id(1, 600), sps_with_id(2, 700)
    for payload in (large, larger, PPS, IDR):
        sets.missing_before(payload, 1)
    supplied = sets.missing_before(IDR, 2)
    assert supplied == stap_a(larger, PPS)
    assert sets.missing_before(sps_with_id(1, MAX_PARAMETER_SETS_BYTES + 1), 3) is None


@given(st.lists(st.binary(max_size=60)), st.text(max_size=80))
def test_arbitrary_payloads_raise_nothing_and_what_is_supplied_is_small(payloads: list[bytes], signalled: str) -> None:
    sets = ParameterSets(signalled)
    for timestamp, payload in enumerate(payloads):
        supplied = sets.missing_before(payload, timestamp // 2)
        if supplied is not None:
            assert list(nal_units(supplied))
            assert len(supplied) < MAX_PARAMETER_SETS_BYTES * 2


def test_an_sps_is_parsed_only_when_the_frame_size_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = Mock(side_effect=h264_sps.parse_sps)
    monkeypatch.setattr(h264_sps, "parse_sps", parse)
    sets = ParameterSets()
    for number in range(100):
        sets.missing_before(stap_a(*(SPS[:20] + bytes([number, other]) for other in range(20)), SPS), number)
    assert parse.call_count == 0
    assert (sets.size, sets.size, parse.call_count) == ((640, 360), (640, 360), 1)
