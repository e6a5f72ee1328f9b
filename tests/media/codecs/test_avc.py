"""AVC: the decoder configuration record, and length-prefixed NAL units."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.avc import MAX_PARAMETER_SETS_BYTES, parse_decoder_configuration, split_nal_units
from stagebook.media.codecs.h264_nal import PPS, SPS
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.port import IngestFault
from tests.media.ingest import encoded_stream
from tests.media.ingest.encoded_stream import parameter_sets

BASELINE, PICTURE_SET = parameter_sets()


def _record(*, sps: list[bytes], pps: list[bytes], length_size: int = 4, version: int = 1) -> memoryview:
    head = bytes([version, 66, 0xC0, 31, 0xFC | length_size - 1])
    parts = [len(unit).to_bytes(2) + unit for unit in sps] + [bytes([len(pps)])]
    parts += [len(unit).to_bytes(2) + unit for unit in pps]
    return memoryview(head + bytes([0xE0 | len(sps)]) + b"".join(parts))


@pytest.mark.parametrize("length_size", [1, 2, 4])
def test_a_record_has_the_parameter_sets_and_the_length_size(length_size: int) -> None:
    configuration = parse_decoder_configuration(_record(sps=[BASELINE], pps=[PICTURE_SET], length_size=length_size))
    assert configuration.length_size_bytes == length_size
    assert configuration.parameter_sets == {(SPS, 0): BASELINE, (PPS, 0): PICTURE_SET}


def test_the_record_of_a_real_encoder_is_parsed() -> None:
    record = encoded_stream.stream()[0]
    assert record.is_configuration
    configuration = parse_decoder_configuration(memoryview(record.payload)[5:])
    assert [nal_type for nal_type, _ in configuration.parameter_sets] == [SPS, PPS]
    assert configuration.length_size_bytes == 4


def test_the_fields_for_high_profiles_are_ignored() -> None:
    record = bytes(_record(sps=[BASELINE], pps=[PICTURE_SET])) + b"\xfd\xf8\xf8\x00"
    assert len(parse_decoder_configuration(memoryview(record)).parameter_sets) == 2


def test_a_parameter_set_replaces_one_with_the_same_id() -> None:
    other = b"\x68\x5e\x3c\x80"
    configuration = parse_decoder_configuration(_record(sps=[BASELINE, BASELINE], pps=[PICTURE_SET, other]))
    assert sorted(configuration.parameter_sets) == [(SPS, 0), (PPS, 0), (PPS, 1)]


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_profiles_that_every_browser_decodes_are_accepted(profile: str) -> None:
    sps, pps = parameter_sets(profile=profile)
    assert parse_decoder_configuration(_record(sps=[sps], pps=[pps])).parameter_sets[SPS, 0] == sps


@pytest.mark.parametrize(
    ("profile", "pixels", "x264", "detail"),
    [
        ("high10", "yuv420p10le", "", "the profile High 10; it must be Baseline, Main or High"),
        ("high422", "yuv422p", "", "the profile High 4:2:2"),
        ("high444", "yuv444p", "", "the profile High 4:4:4 Predictive"),
        ("main", "yuv420p", "interlaced=1", "interlaced"),
        ("high", "gray", "", "monochrome"),
    ],
)
def test_video_that_browsers_do_not_decode_is_refused_by_name(
    profile: str, pixels: str, x264: str, detail: str
) -> None:
    sps, pps = parameter_sets(profile=profile, pixels=pixels, x264=x264)
    with pytest.raises(InputFaultError, match=detail) as caught:
        parse_decoder_configuration(_record(sps=[sps], pps=[pps]))
    assert caught.value.fault is IngestFault.VIDEO_CODEC


def test_an_unknown_profile_is_refused_by_number() -> None:
    with pytest.raises(InputFaultError, match="the profile 99"):
        parse_decoder_configuration(_record(sps=[BASELINE[:1] + b"\x63" + BASELINE[2:]], pps=[PICTURE_SET]))


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        (memoryview(b""), "truncated"),
        (_record(sps=[BASELINE], pps=[PICTURE_SET], version=2), "another version"),
        (_record(sps=[BASELINE], pps=[PICTURE_SET], length_size=3), "length size of 3 bytes"),
        (_record(sps=[], pps=[PICTURE_SET]), "lacks an SPS or a PPS"),
        (_record(sps=[BASELINE], pps=[]), "lacks an SPS or a PPS"),
        (_record(sps=[BASELINE[:3]], pps=[PICTURE_SET]), "cannot be parsed"),
        (_record(sps=[BASELINE[:6]], pps=[PICTURE_SET]), "cannot be parsed"),
        (_record(sps=[b""], pps=[PICTURE_SET]), "not a parameter set"),
        (_record(sps=[b"\x65abc"], pps=[PICTURE_SET]), "not a parameter set"),
        (_record(sps=[BASELINE], pps=[PICTURE_SET + bytes(MAX_PARAMETER_SETS_BYTES)]), "at most 8192"),
        (_record(sps=[BASELINE], pps=[PICTURE_SET])[:-1], "truncated"),
        (_record(sps=[BASELINE], pps=[PICTURE_SET])[:10], "truncated"),
        (_record(sps=[BASELINE], pps=[])[:-1], "truncated"),
    ],
)
def test_a_malformed_record_is_invalid_input(record: memoryview, detail: str) -> None:
    with pytest.raises(InputFaultError, match=detail) as caught:
        parse_decoder_configuration(record)
    assert caught.value.fault is IngestFault.INPUT


@pytest.mark.parametrize("length_size", [1, 2, 4])
def test_units_are_split_at_their_lengths(length_size: int) -> None:
    units = [b"\x65abc", b"", b"\x06d"]
    data = b"".join(len(unit).to_bytes(length_size) + unit for unit in units)
    assert split_nal_units(memoryview(data), length_size_bytes=length_size) == [b"\x65abc", b"\x06d"]
    assert split_nal_units(memoryview(b""), length_size_bytes=length_size) == []


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"\x00\x00\x00\x05\x65abc", "longer than the message"),
        (b"\x00\x00\x00\x02\x65\x01\x00\x01", "longer than the message"),
        (b"\x00\x00\x02", "longer than the message"),
        (b"\x00\x00\x00\x02\xe5a", "begins with the byte 0xe5"),
        (1_025 * b"\x00\x00\x00\x01\x09", "more than 1024 NAL units"),
        (1_025 * b"\x00\x00\x00\x00" + b"\x00\x00\x00\x01\x09", "more than 1024 NAL units"),
        (1_025 * b"\x00\x00\x00\x01\x09\xf0", "more than 1024 NAL units"),
        (b"\x00\x00\x00\x01\x65\x00\x00\x01\xe5a", "begins with the byte 0xe5"),
    ],
)
def test_malformed_video_is_invalid_input(data: bytes, detail: str) -> None:
    with pytest.raises(InputFaultError, match=detail) as caught:
        split_nal_units(memoryview(data), length_size_bytes=4)
    assert caught.value.fault is IngestFault.INPUT


@pytest.mark.parametrize("length_size", [1, 2, 4])
@pytest.mark.parametrize("padding_bytes", [1, 2, 3, 4, 5, 100_000])
def test_zero_bytes_behind_the_last_unit_are_ignored(length_size: int, padding_bytes: int) -> None:
    data = (4).to_bytes(length_size) + b"\x65abc" + bytes(padding_bytes)
    assert split_nal_units(memoryview(data), length_size_bytes=length_size) == [b"\x65abc"]


LARGE_UNIT = b"\x65" + b"x" * (0x165 - 1)
"""A NAL unit whose 4-byte length, 00 00 01 65, looks like a start code and an IDR slice."""


@pytest.mark.parametrize(
    ("data", "units"),
    [
        (b"\0\0\0\1\x67ab\0\0\0\1\x68c\0\0\1\x65de", [b"\x67ab", b"\x68c", b"\x65de"]),
        (b"\0\0\1\x41ab\0\0\0\0\0", [b"\x41ab"]),
        (b"\0\0\1\0\0\1\x41ab", [b"\x41ab"]),
        (len(LARGE_UNIT).to_bytes(4) + LARGE_UNIT, [LARGE_UNIT]),
    ],
    ids=["parameter sets", "padding", "an empty unit", "a length that looks like a start code"],
)
@pytest.mark.parametrize("length_size", [1, 2, 4])
def test_a_byte_stream_is_split_at_its_start_codes(data: bytes, units: list[bytes], length_size: int) -> None:
    if units != [LARGE_UNIT] or length_size == 4:
        assert split_nal_units(memoryview(data), length_size_bytes=length_size) == units


def test_parameter_sets_may_be_a_byte_stream() -> None:
    data = b"\0\0\0\1\x09\xf0\0\0\0\1" + BASELINE + b"\0\0\0\1" + PICTURE_SET
    configuration = parse_decoder_configuration(memoryview(data))
    assert configuration.parameter_sets == {(SPS, 0): BASELINE, (PPS, 0): PICTURE_SET}
    with pytest.raises(InputFaultError, match="lacks an SPS or a PPS"):
        parse_decoder_configuration(memoryview(b"\0\0\0\1" + BASELINE))


@given(st.binary(max_size=60), st.sampled_from([1, 2, 4]))
def test_random_bytes_are_split_or_refused(data: bytes, length_size: int) -> None:
    with suppress(InputFaultError):
        units = split_nal_units(memoryview(data), length_size_bytes=length_size)
        assert sum(map(len, units)) <= len(data)


@given(st.binary(max_size=80), st.binary(max_size=20))
def test_random_bytes_are_a_record_or_refused(data: bytes, more: bytes) -> None:
    for record in (
        data,
        b"\x01\x42\xc0\x1f\xff\xe1" + data,
        bytes(_record(sps=[b"\x67" + data], pps=[b"\x68" + more])),
    ):
        with suppress(InputFaultError):
            assert parse_decoder_configuration(memoryview(record)).parameter_sets
