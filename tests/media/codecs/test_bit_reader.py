"""Bit fields, and Exp-Golomb codes by the tables of ITU-T H.264 section 9.1."""

import pytest

from stagebook.media.codecs.bit_reader import BitReader, OutOfBitsError


def test_bits_are_read_from_the_most_significant_one() -> None:
    reader = BitReader(b"\xa5\x0f")
    assert [reader.bits(1), reader.bits(3), reader.bits(8), reader.bits(4)] == [1, 0b010, 0b01010000, 0b1111]


def test_unsigned_codes_are_those_of_table_9_2() -> None:
    reader = BitReader(int("1" + "010" + "011" + "00100" + "00111" + "0001000", 2).to_bytes(3))
    assert [reader.unsigned() for _ in range(6)] == [0, 1, 2, 3, 6, 7]


def test_signed_codes_are_those_of_table_9_3() -> None:
    reader = BitReader(int("1" + "010" + "011" + "00100" + "00101" + "1111111", 2).to_bytes(3))
    assert [reader.signed() for _ in range(5)] == [0, 1, -1, 2, -2]


@pytest.mark.parametrize("data", [b"", b"\0", bytes(4), bytes(100), b"\x01"])
def test_a_code_that_is_truncated_or_too_long_is_an_error(data: bytes) -> None:
    with pytest.raises(OutOfBitsError):
        BitReader(data).unsigned()


def test_reading_beyond_the_end_is_an_error() -> None:
    with pytest.raises(OutOfBitsError):
        BitReader(b"\xff").bits(9)
