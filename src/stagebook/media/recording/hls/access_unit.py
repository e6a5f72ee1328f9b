"""H.264 access units as MP4 files and RTMP messages hold them (ISO/IEC 14496-15): NAL units behind lengths.

The parameter sets stay in the samples, although a track of type `avc1` has them in its configuration as well: readers
that ignore a second init segment, as ffmpeg's HLS demuxer, then still decode what follows it.
"""

from typing import Final

from stagebook.media.codecs.bit_reader import BitReader, OutOfBitsError
from stagebook.media.codecs.h264_nal import PPS, SPS, TYPE_MASK
from stagebook.media.codecs.h264_sps import parse_sps
from stagebook.media.recording.hls.encoded_media import VideoFormat

_START_CODE: Final = b"\0\0\1"
_MAX_PICTURE_SETS: Final = 31
"""What an init segment is given at most. An encoder has one or two."""
_MAX_SET_BYTES: Final = 4_000
"""The size of a parameter set at most. One has about 30 bytes."""
_PROFILES_WITH_CHROMA_FORMAT: Final = frozenset({100, 110, 122, 144})
"""The profiles whose configuration record has chroma format and bit depths (ISO/IEC 14496-15 section 5.3.3.1)."""


def nal_units(body: bytes) -> list[bytes]:
    """Return the NAL units of a byte stream (H.264 annex B). Bytes before the first start code are left out."""
    return [unit for part in body.split(_START_CODE)[1:] if (unit := part.rstrip(b"\0"))]


def length_prefixed(body: bytes) -> bytes:
    """Return a byte stream as NAL units that each follow their length in four bytes."""
    parts: list[bytes] = []
    for unit in nal_units(body):
        parts += (len(unit).to_bytes(4), unit)
    return b"".join(parts)


def video_format(body: bytes) -> VideoFormat | None:
    """Return the parameter sets of a keyframe. None if the SPS is missing or malformed, or there is no PPS.

    Sets that are too large are left out.
    """
    sps, pps = None, dict[bytes, None]()
    for unit in nal_units(body):
        if len(unit) > _MAX_SET_BYTES:
            continue
        if unit[0] & TYPE_MASK == SPS:
            sps = unit
        elif unit[0] & TYPE_MASK == PPS:
            pps[unit] = None
    if sps is None or not pps or parse_sps(sps) is None:
        return None
    return VideoFormat(sps=sps, pps=tuple(pps)[:_MAX_PICTURE_SETS])


def decoder_configuration(video: VideoFormat) -> bytes:
    """Return the AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1), with lengths of four bytes."""
    record = b"\x01" + video.sps[1:4] + b"\xff\xe1" + len(video.sps).to_bytes(2) + video.sps
    record += bytes([len(video.pps)]) + b"".join(len(unit).to_bytes(2) + unit for unit in video.pps)
    if video.sps[1] in _PROFILES_WITH_CHROMA_FORMAT:
        record += bytes([0xFC | _chroma_format(video.sps), 0xF8, 0xF8, 0])
    return record


def _chroma_format(sps: bytes) -> int:
    """Return chroma_format_idc of a High profile SPS: after the header, three bytes and the id (H.264, 7.3.2.1.1)."""
    reader = BitReader(sps[4:24].replace(b"\0\0\3", b"\0\0"))
    try:
        reader.unsigned()
        return reader.unsigned() & 0x03
    except OutOfBitsError:
        return 1
