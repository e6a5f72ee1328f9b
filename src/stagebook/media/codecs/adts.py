"""ADTS, the framing of AAC that repeats the configuration before each frame (ISO/IEC 14496-3 section 1.A.3.2).

FLV carries raw frames after one AudioSpecificConfig. Some encoders, mostly hardware that also feeds MPEG-TS, leave the
ADTS headers on the frames, and some of them send no AudioSpecificConfig at all.

    syncword 0xFFF                    12 bits
    ID, layer = 0, protection_absent  4 bits; without protection, a CRC of 2 bytes follows the header
    profile                           2 bits: audioObjectType - 1
    sampling_frequency_index          4 bits
    private_bit                       1 bit
    channel_configuration             3 bits
    original_copy ... copyright       4 bits
    aac_frame_length                  13 bits: the frame with its header
    adts_buffer_fullness              11 bits
    number_of_raw_data_blocks         2 bits: the number of blocks - 1

A raw frame never begins like this: its first three bits would be ID_END, the end of a frame without content.
"""

from typing import Final

import msgspec

from stagebook.media.codecs.bit_reader import BitReader
from stagebook.media.codecs.input_fault import invalid_input

MAX_FRAMES: Final = 32
"""Maximum number of frames in one message: more than half a second of audio."""
_HEADER_BYTES: Final = 7
_CRC_BYTES: Final = 2


class AdtsFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A raw AAC frame, and the AudioSpecificConfig that its header is equivalent to."""

    description: bytes
    body: bytes


def begins_with_adts(data: bytes) -> bool:
    """Whether `data` begins with the syncword and the layer of an ADTS header."""
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0


def split_adts(data: bytes) -> list[AdtsFrame]:
    """Split a message into its ADTS frames. Frames without content are left out.

    Raises InputFaultError (INPUT) for a header that is missing or truncated, a wrong length, several raw data blocks
    in one frame, and more than MAX_FRAMES.
    """
    frames: list[AdtsFrame] = []
    position = 0
    while position < len(data):
        if len(frames) == MAX_FRAMES:
            raise invalid_input(f"one audio message has more than {MAX_FRAMES} ADTS frames")
        header = data[position : position + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES or not begins_with_adts(header):
            raise invalid_input("an audio message has a malformed ADTS header")
        body_position = position + _HEADER_BYTES + (0 if header[1] & 1 else _CRC_BYTES)
        length, description = _read_header(header)
        position += length
        if position < body_position or position > len(data):
            raise invalid_input(f"an ADTS header says that its frame has {length} bytes, which is not so")
        if body := data[body_position:position]:
            frames.append(AdtsFrame(description=description, body=body))
    return frames


def _read_header(header: bytes) -> tuple[int, bytes]:
    """Read (aac_frame_length, AudioSpecificConfig)."""
    reader = BitReader(header)
    reader.bits(16)
    object_type = reader.bits(2) + 1
    frequency_index = reader.bits(4)
    reader.bits(1)
    channels = reader.bits(3)
    reader.bits(4)
    length = reader.bits(13)
    reader.bits(11)
    if reader.bits(2):
        # The blocks would have to be found by decoding them, or by positions that only follow a CRC.
        raise invalid_input("an ADTS frame has several raw data blocks; it must have one")
    # audioObjectType (5 bits), samplingFrequencyIndex (4), channelConfiguration (4), GASpecificConfig (3 zero bits).
    return length, (object_type << 11 | frequency_index << 7 | channels << 3).to_bytes(2)
