"""AMF0: the encoding of each type, round trips of generated values, malformed values, and the limits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtmp.amf0 import (
    UNDEFINED,
    Amf0Value,
    Date,
    EcmaArray,
    TypedObject,
    read_values,
    write_values,
)
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

LIMITS = RtmpLimits()

SAMPLES: list[tuple[str, Amf0Value]] = [
    ("00 3ff8000000000000", 1.5),
    ("01 01", True),
    ("01 00", False),
    ("02 0003 616263", "abc"),
    ("02 0002 c3a9", "é"),
    ("03 0001 61 05 0001 62 01 01 000009", {"a": None, "b": True}),
    ("05", None),
    ("06", UNDEFINED),
    ("08 00000001 0001 61 06 000009", EcmaArray(a=UNDEFINED)),
    ("0a 00000002 05 01 01", [None, True]),
    ("0b 4085180000000000 003c", Date(milliseconds=675.0, time_zone=60)),
    ("02 ffff" + "61" * 65535, "a" * 65535),
    ("0c 00010000" + "61" * 65536, "a" * 65536),
    ("10 0001 43 0001 61 05 000009", TypedObject(class_name="C", members={"a": None})),
]


@pytest.mark.parametrize(("encoded", "value"), SAMPLES, ids=[f"{data[:2]}-{n}" for n, (data, _) in enumerate(SAMPLES)])
def test_a_value_of_each_type_is_decoded_and_encoded(encoded: str, value: Amf0Value) -> None:
    data = bytes.fromhex(encoded)
    (decoded,) = read_values(data, LIMITS)
    assert decoded == value
    assert type(decoded) is type(value)
    assert write_values(value) == data


def test_values_follow_each_other() -> None:
    assert read_values(bytes.fromhex("02 0001 61 00 4000000000000000 05"), LIMITS) == ["a", 2.0, None]
    assert read_values(b"", LIMITS) == []


def test_an_xml_document_is_a_string_and_unsupported_is_undefined() -> None:
    assert read_values(bytes.fromhex("0f 00000002 3c78 0d"), LIMITS) == ["<x", UNDEFINED]


def test_the_count_of_an_ecma_array_is_ignored() -> None:
    """Section 2.10. Some encoders write 0 or too large a count."""
    for count in ("00000000", "ffffffff"):
        assert read_values(bytes.fromhex("08" + count + "0001 61 05 000009"), LIMITS) == [{"a": None}]


def test_invalid_utf_8_is_replaced() -> None:
    assert read_values(bytes.fromhex("02 0002 41ff"), LIMITS) == ["A\N{REPLACEMENT CHARACTER}"]


def test_an_int_is_encoded_as_a_number() -> None:
    assert write_values(1) == write_values(1.0)


def test_a_lone_surrogate_is_encoded_as_a_question_mark() -> None:
    assert read_values(write_values("a\ud800"), LIMITS) == ["a?"]


def test_a_name_that_is_too_long_is_cut() -> None:
    assert read_values(write_values({"a" * 70000: None}), RtmpLimits()) == [{"a" * 65535: None}]


@pytest.mark.parametrize("marker", [0x04, 0x07, 0x09, 0x0E, 0x11, 0x12, 0xFF])
def test_an_unsupported_type_is_an_error(marker: int) -> None:
    with pytest.raises(RtmpError, match=f"AMF0 values of type {marker} are not supported"):
        read_values(bytes([marker]), LIMITS)


@pytest.mark.parametrize("written", [data for data, _ in SAMPLES if len(data) < 100])
def test_a_truncated_value_is_an_error(written: str) -> None:
    data = bytes.fromhex(written)
    for end in range(1, len(data)):
        with pytest.raises(RtmpError, match="truncated"):
            read_values(data[:end], LIMITS)


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}, lambda value: EcmaArray(a=value)])
def test_nesting_is_limited(wrap: type) -> None:
    limits = RtmpLimits(max_amf_depth=4)
    deepest: Amf0Value = None
    for _ in range(3):
        deepest = wrap(deepest)
    assert read_values(write_values(deepest), limits) == [deepest]
    with pytest.raises(RtmpError, match="nested more than 4 deep"):
        read_values(write_values(wrap(deepest)), limits)


def test_the_number_of_values_is_limited_at_all_depths_together() -> None:
    limits = RtmpLimits(max_amf_values=4)
    assert read_values(write_values(None, [None, None]), limits) == [None, [None, None]]
    for too_many in (write_values(None, [None, None, None]), write_values(*[None] * 5)):
        with pytest.raises(RtmpError, match="too many AMF0 values"):
            read_values(too_many, limits)


def test_an_array_with_a_false_count_is_an_error() -> None:
    with pytest.raises(RtmpError, match="truncated"):
        read_values(bytes.fromhex("0a ffffffff 05"), LIMITS)


STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS: st.SearchStrategy[Amf0Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    STRINGS,
    st.just(UNDEFINED),
    st.builds(Date, milliseconds=st.floats(allow_nan=False), time_zone=st.integers(-(2**15), 2**15 - 1)),
)


def compounds(values: st.SearchStrategy[Amf0Value]) -> st.SearchStrategy[Amf0Value]:
    members = st.dictionaries(STRINGS, values, max_size=5)
    return st.one_of(
        st.lists(values, max_size=5),
        members,
        members.map(EcmaArray),
        st.builds(TypedObject, class_name=STRINGS, members=members),
    )


@given(st.lists(st.recursive(SCALARS, compounds, max_leaves=20), max_size=5))
def test_encoded_values_are_decoded_to_the_same_values(values: list[Amf0Value]) -> None:
    assert read_values(write_values(*values), RtmpLimits(max_amf_depth=64)) == values


def test_nan_is_a_number() -> None:
    (value,) = read_values(write_values(math.nan), LIMITS)
    assert isinstance(value, float)
    assert math.isnan(value)


MARKERS = st.sampled_from(
    [b"\0", b"\2\0\1a", b"\3", b"\5", b"\x08\0\0\0\1", b"\x0a\0\0\0\2", b"\x10\0\1C", b"\0\0\x09", b"\0\1a"]
)


@given(st.one_of(st.binary(max_size=100), st.lists(st.one_of(MARKERS, st.binary(max_size=4))).map(b"".join)))
def test_random_bytes_are_values_or_an_rtmp_error(data: bytes) -> None:
    try:
        values = read_values(data, LIMITS)
    except RtmpError:
        return
    assert len(values) <= len(data)
