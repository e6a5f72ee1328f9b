"""A reader of bit fields and Exp-Golomb codes (ITU-T H.264, 9.1). Knows no syntax."""


class OutOfBitsError(Exception):
    """The data ended, or a code is longer than the standard allows."""


class BitReader:
    """Reads from the most significant bit of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = len(data) * 8

    def bits(self, count: int) -> int:
        """The next `count` bits as a number. Raises OutOfBitsError."""
        if count > self._left:
            raise OutOfBitsError
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def unsigned(self) -> int:
        """ue(v). Raises OutOfBitsError."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > 31:
                raise OutOfBitsError
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """se(v). Raises OutOfBitsError."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)
