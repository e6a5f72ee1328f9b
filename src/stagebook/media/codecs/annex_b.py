"""H.264 byte streams (ITU-T H.264 annex B): NAL units behind start codes instead of lengths.

    [leading zero bytes] 00 00 01 | NAL unit | [trailing zero bytes] 00 00 01 | NAL unit | ...

RTMP carries NAL units behind lengths (ISO/IEC 14496-15), but some encoders pass on what their hardware produces. Media
servers in wide use (SRS, nginx-rtmp with a transcoder behind it) accept it, so such encoders exist.

A NAL unit never ends with a zero byte: its last byte holds the rbsp_stop_one_bit, or is the 03 behind cabac_zero_words
(section 7.4.1). Zero bytes before a start code therefore never belong to the NAL unit before it.
"""

from typing import Final

from stagebook.media.codecs.h264_nal import FORBIDDEN_ZERO_BIT
from stagebook.media.codecs.input_fault import invalid_input

_START_CODE: Final = b"\0\0\1"
_LONG_START_CODE: Final = b"\0\0\0\1"


def begins_with_start_code(data: memoryview) -> bool:
    """Whether `data` begins with a start code of three or four bytes.

    It is a hint only. `00 00 01 xx` is also the length of a NAL unit of 256 to 511 bytes, so data that may have lengths
    must be tried as such first.
    """
    return bytes(data[:4]).startswith((_LONG_START_CODE, _START_CODE))


def split_byte_stream(data: memoryview, *, max_units: int) -> list[memoryview]:
    """Split a byte stream that begins with a start code into its NAL units, without start codes and zero bytes.

    Empty units are left out. The data is searched once. Raises InputFaultError (INPUT) for more than `max_units` start
    codes, and for a unit whose forbidden_zero_bit is set.
    """
    parts = bytes(data).split(_START_CODE, max_units + 1)[1:]
    if len(parts) > max_units:
        raise invalid_input(f"one message has more than {max_units} NAL units")
    units = [unit for part in parts if (unit := part.rstrip(b"\0"))]
    for unit in units:
        if unit[0] & FORBIDDEN_ZERO_BIT:
            raise invalid_input(f"the video is malformed: a NAL unit begins with the byte {unit[0]:#04x}")
    return [memoryview(unit) for unit in units]
