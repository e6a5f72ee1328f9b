"""Bit fields and Exp-Golomb codes.

Bit strings are read from the most significant bit of the first byte on. The Exp-Golomb codes are those of ITU-T H.264
section 9.1: a code number is written as n zero bits, a one bit, and n more bits.
"""

_MAX_LEADING_ZERO_BITS = 31


class OutOfBitsError(Exception):
    """The data ended before the syntax element did, or an Exp-Golomb code has more than 32 bits of value."""


class BitReader:
    """Reads syntax elements one after the other."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._bits_left = len(data) * 8

    def bits(self, count: int) -> int:
        """Read u(`count`): the next `count` bits as an unsigned integer. Raises OutOfBitsError."""
        if count > self._bits_left:
            raise OutOfBitsError
        self._bits_left -= count
        return (self._value >> self._bits_left) & ((1 << count) - 1)

    def unsigned(self) -> int:
        """Read ue(v), an unsigned Exp-Golomb code (H.264 section 9.1).

        Raises OutOfBitsError, also for more than 31 leading zero bits: a value has at most 32 bits, and a run of zero
        bytes must not be read as one huge number.
        """
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > _MAX_LEADING_ZERO_BITS:
                raise OutOfBitsError
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """Read se(v), a signed Exp-Golomb code (H.264 section 9.1.1). Raises OutOfBitsError."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)
