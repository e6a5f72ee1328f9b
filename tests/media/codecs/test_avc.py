"""H.264 as FLV carries it: the configuration record, and NAL units behind their lengths."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.avc import MAX_PARAMETER_SETS_BYTES, PPS, SPS, read_configuration, split
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
def test_a_record_gives_the_parameter_sets_and_the_size_of_lengths(length_size: int) -> None:
    configuration = read_configuration(_record(sps=[BASELINE], pps=[PICTURE_SET], length_size=length_size))
    assert configuration.length_size_bytes == length_size
    assert configuration.parameter_sets == {(SPS, 0): BASELINE, (PPS, 0): PICTURE_SET}


def test_a_real_encoders_record_is_read() -> None:
    record = encoded_stream.stream()[0]
    assert record.is_configuration
    configuration = read_configuration(memoryview(record.payload)[5:])
    assert [kind for kind, _ in configuration.parameter_sets] == [SPS, PPS]
    assert configuration.length_size_bytes == 4


def test_what_high_profiles_add_is_not_needed() -> None:
    record = bytes(_record(sps=[BASELINE], pps=[PICTURE_SET])) + b"\xfd\xf8\xf8\x00"
    assert len(read_configuration(memoryview(record)).parameter_sets) == 2


def test_a_set_takes_the_place_of_one_with_its_id() -> None:
    other = b"\x68\x5e\x3c\x80"
    configuration = read_configuration(_record(sps=[BASELINE, BASELINE], pps=[PICTURE_SET, other]))
    assert sorted(configuration.parameter_sets) == [(SPS, 0), (PPS, 0), (PPS, 1)]


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_what_every_browser_decodes_is_taken(profile: str) -> None:
    sps, pps = parameter_sets(profile=profile)
    assert read_configuration(_record(sps=[sps], pps=[pps])).parameter_sets[SPS, 0] == sps


@pytest.mark.parametrize(
    ("profile", "pixels", "x264", "words"),
    [
        ("high10", "yuv420p10le", "", "the profile High 10; it must be Baseline, Main or High"),
        ("high422", "yuv422p", "", "the profile High 4:2:2"),
        ("high444", "yuv444p", "", "the profile High 4:4:4 Predictive"),
        ("main", "yuv420p", "interlaced=1", "interlaced"),
        ("high", "gray", "", "without colour"),
    ],
)
def test_what_browsers_do_not_decode_is_refused_by_name(profile: str, pixels: str, x264: str, words: str) -> None:
    sps, pps = parameter_sets(profile=profile, pixels=pixels, x264=x264)
    with pytest.raises(InputFaultError, match=words) as caught:
        read_configuration(_record(sps=[sps], pps=[pps]))
    assert caught.value.fault is IngestFault.VIDEO_CODEC


def test_a_profile_without_a_name_is_refused_by_its_number() -> None:
    with pytest.raises(InputFaultError, match="the profile 99"):
        read_configuration(_record(sps=[BASELINE[:1] + b"\x63" + BASELINE[2:]], pps=[PICTURE_SET]))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (memoryview(b""), "cut short"),
        (_record(sps=[BASELINE], pps=[PICTURE_SET], version=2), "another version"),
        (_record(sps=[BASELINE], pps=[PICTURE_SET], length_size=3), "lengths have 3 bytes"),
        (_record(sps=[], pps=[PICTURE_SET]), "lacks an SPS or a PPS"),
        (_record(sps=[BASELINE], pps=[]), "lacks an SPS or a PPS"),
        (_record(sps=[BASELINE[:3]], pps=[PICTURE_SET]), "cannot be read"),
        (_record(sps=[BASELINE[:6]], pps=[PICTURE_SET]), "cannot be read"),
        (_record(sps=[b""], pps=[PICTURE_SET]), "no parameter set"),
        (_record(sps=[b"\x65abc"], pps=[PICTURE_SET]), "no parameter set"),
        (_record(sps=[BASELINE], pps=[PICTURE_SET + bytes(MAX_PARAMETER_SETS_BYTES)]), "at most 8192"),
        (_record(sps=[BASELINE], pps=[PICTURE_SET])[:-1], "cut short"),
        (_record(sps=[BASELINE], pps=[PICTURE_SET])[:10], "cut short"),
        (_record(sps=[BASELINE], pps=[])[:-1], "cut short"),
    ],
)
def test_a_broken_record_is_bad_input(record: memoryview, words: str) -> None:
    with pytest.raises(InputFaultError, match=words) as caught:
        read_configuration(record)
    assert caught.value.fault is IngestFault.INPUT


@pytest.mark.parametrize("length_size", [1, 2, 4])
def test_units_are_cut_at_their_lengths(length_size: int) -> None:
    units = [b"\x65abc", b"", b"\x06d"]
    data = b"".join(len(unit).to_bytes(length_size) + unit for unit in units)
    assert split(memoryview(data), length_size_bytes=length_size) == [b"\x65abc", b"\x06d"]
    assert split(memoryview(b""), length_size_bytes=length_size) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x00\x00\x00\x05\x65abc", "longer than the message"),
        (b"\x00\x00\x00\x01\x65\x00", "longer than the message"),
        (b"\x00\x00\x00", "longer than the message"),
        (b"\x00\x00\x00\x02\xe5a", "begins with the byte 0xe5"),
        (4_100 * b"\x00", "more than 1024 NAL units"),
    ],
)
def test_garbage_is_bad_input(data: bytes, words: str) -> None:
    with pytest.raises(InputFaultError, match=words) as caught:
        split(memoryview(data), length_size_bytes=4)
    assert caught.value.fault is IngestFault.INPUT


@given(st.binary(max_size=60), st.sampled_from([1, 2, 4]))
def test_noise_is_cut_or_refused(noise: bytes, length_size: int) -> None:
    with suppress(InputFaultError):
        units = split(memoryview(noise), length_size_bytes=length_size)
        assert sum(map(len, units)) <= len(noise)


@given(st.binary(max_size=80), st.binary(max_size=20))
def test_noise_is_a_record_or_refused(noise: bytes, more: bytes) -> None:
    for record in (
        noise,
        b"\x01\x42\xc0\x1f\xff\xe1" + noise,
        bytes(_record(sps=[b"\x67" + noise], pps=[b"\x68" + more])),
    ):
        with suppress(InputFaultError):
            assert read_configuration(memoryview(record)).parameter_sets
