"""The header of a video message: Adobe FLV 10.1, annex E.4.3, and Enhanced RTMP v2, "Enhanced Video".

Says whether H.264 follows, and which part of it. Does not look into the H.264.
"""

from enum import StrEnum

import msgspec

from stagebook.media.codecs.input_fault import InputFaultError, invalid_input, unsupported_video
from stagebook.media.ingest.flv.enhanced_header import PacketType, read_enhanced

_ENHANCED = 0x80
_COMMAND_FRAME = 5
_AVC = 7
_LEGACY_HEADER_BYTES = 5

_MULTITRACK = 6

_LEGACY_CODECS = {
    2: "Sorenson H.263",
    3: "Screen video",
    4: "VP6",
    5: "VP6 with alpha",
    6: "Screen video 2",
    8: "H.263",
    9: "MPEG-4 part 2",
    12: "HEVC",
    13: "AV1",
}
"""Codec ids by FLV 10.1 (2 to 6) and by those in wide use without a standard."""

_FOURCCS = {b"hvc1": "HEVC", b"vvc1": "VVC", b"av01": "AV1", b"vp08": "VP8", b"vp09": "VP9"}


class VideoPart(StrEnum):
    """What a video message brings."""

    CONFIGURATION = "configuration"
    PICTURE = "picture"


class VideoTag(msgspec.Struct, frozen=True, kw_only=True):
    """An AVCDecoderConfigurationRecord, or one picture's NAL units, each behind its length.

    `composition_ms` is how much later than it is decoded the picture is shown; negative is possible.
    """

    part: VideoPart
    composition_ms: int = 0
    body: memoryview


def read_video_tag(payload: bytes) -> VideoTag | None:
    """Read a video message. None: it brings nothing to show (a command, metadata, an end, another track, nothing).

    Raises InputFaultError: VIDEO_CODEC for anything but H.264, INPUT for a header that is cut short or unknown.
    """
    if not payload:
        return None
    first = payload[0]
    if first >> 4 & 0x07 == _COMMAND_FRAME:
        return None
    if first & _ENHANCED:
        return _read_enhanced(payload)
    codec = first & 0x0F
    if codec != _AVC:
        raise _not_ours(_LEGACY_CODECS.get(codec, f"of the unknown codec id {codec}"))
    if len(payload) < _LEGACY_HEADER_BYTES:
        raise invalid_input("a video message is cut short")
    body = memoryview(payload)[_LEGACY_HEADER_BYTES:]
    match payload[1]:
        case 0:
            return VideoTag(part=VideoPart.CONFIGURATION, body=body)
        case 1:
            composition_ms = int.from_bytes(payload[2:5], signed=True)
            return VideoTag(part=VideoPart.PICTURE, composition_ms=composition_ms, body=body)
        case 2:
            return None
        case other:
            raise invalid_input(f"a video message has the unknown AVC packet type {other}")


def _read_enhanced(payload: bytes) -> VideoTag | None:
    packet = read_enhanced(payload, multitrack=_MULTITRACK)
    if packet is None:
        return None
    if packet.fourcc != b"avc1":
        raise _not_ours(_FOURCCS.get(packet.fourcc, f"of the unknown codec {packet.fourcc_text}"))
    match packet.packet_type:
        case PacketType.SEQUENCE_START:
            return VideoTag(part=VideoPart.CONFIGURATION, body=packet.body)
        case PacketType.CODED_FRAMES:
            if len(packet.body) < 3:
                raise invalid_input("a video message is cut short")
            composition_ms = int.from_bytes(packet.body[:3], signed=True)
            return VideoTag(part=VideoPart.PICTURE, composition_ms=composition_ms, body=packet.body[3:])
        case PacketType.CODED_FRAMES_X:
            return VideoTag(part=VideoPart.PICTURE, body=packet.body)
        case PacketType.SEQUENCE_END | PacketType.DESCRIPTION:
            return None
        case other:
            raise invalid_input(f"a video message has the unknown packet type {other}")


def _not_ours(found: str) -> InputFaultError:
    return unsupported_video(f"the video is {found}; it must be H.264")
