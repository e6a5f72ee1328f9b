"""The header of a video message, which is the header of an FLV video tag.

Two layouts are in use. The legacy one (Adobe FLV 10.1, annex E.4.3) has the codec id in the low four bits of the first
byte; for H.264 four more bytes follow:

    frame type (4 bits), codec id (4 bits) | AVC packet type | composition time, 3 bytes, signed | data

The enhanced one (Enhanced RTMP v2, "Enhanced Video") sets the top bit of the first byte and names the codec by a
FourCC; `enhanced_header` reads it. Both carry H.264 as ISO/IEC 14496-15 defines it, which `codecs.avc` reads.

An enhanced message may have packets of several tracks, each with the same picture at another quality. Track 0 is the
default track; the others are further tracks, which `read_further_tags` reads.
"""

from enum import StrEnum

import msgspec

from stagebook.media.codecs.input_fault import InputFaultError, invalid_input, unsupported_video
from stagebook.media.ingest.flv.enhanced_header import (
    DEFAULT_TRACK_ID,
    MOD_EX,
    EnhancedPacket,
    PacketType,
    default_track,
    read_enhanced_header,
)

_ENHANCED_FLAG = 0x80
_COMMAND_FRAME = 5
_AVC = 7
_LEGACY_HEADER_BYTES = 5

_MULTITRACK = 6
_MAY_BE_MULTITRACK = frozenset({_MULTITRACK, MOD_EX})
"""The packet types of a message that may have further tracks: behind its extensions a message has another type."""

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
"""Codec ids of FLV 10.1 (2 to 6), and those in wide use without a standard."""

_FOURCCS = {b"hvc1": "HEVC", b"vvc1": "VVC", b"av01": "AV1", b"vp08": "VP8", b"vp09": "VP9"}


class VideoTagType(StrEnum):
    """The content of a video message."""

    CONFIGURATION = "configuration"
    FRAME = "frame"


class VideoTag(msgspec.Struct, frozen=True, kw_only=True):
    """A video message without its header. `body` is a view of the message's payload, not a copy.

    For CONFIGURATION, `body` is an AVCDecoderConfigurationRecord. For FRAME, it is the frame's NAL units, each behind
    its length, and `composition_ms` is the presentation time minus the decoding time, which may be negative.
    """

    type: VideoTagType
    composition_ms: int = 0
    body: memoryview


class FurtherTag(msgspec.Struct, frozen=True, kw_only=True):
    """What a message has of a track other than track 0."""

    track_id: int
    tag: VideoTag | InputFaultError | None
    """As `read_video_tag` returns or raises it."""


def read_video_tag(payload: bytes | bytearray) -> VideoTag | None:
    """Read the payload of a video message.

    Returns None for a message without video: a command, metadata, an end of sequence, another track than track 0, or no
    bytes at all. Raises InputFaultError: VIDEO_CODEC for a codec other than H.264, INPUT for a header that is truncated
    or has unknown values.
    """
    if not payload:
        return None
    first = payload[0]
    # In the enhanced layout three bits of frame type remain, with the same meaning.
    if first >> 4 & 0x07 == _COMMAND_FRAME:
        return None
    if first & _ENHANCED_FLAG:
        return _read_enhanced(payload)
    return _read_legacy(payload)


def read_further_tags(payload: bytes | bytearray) -> list[FurtherTag]:
    """Read the packets of other tracks than track 0 in the payload of a video message. Most messages have none.

    Raises InputFaultError (INPUT) for a header that is truncated or has unknown values.
    """
    if not payload or not payload[0] & _ENHANCED_FLAG or payload[0] & 0x0F not in _MAY_BE_MULTITRACK:
        return []
    if payload[0] >> 4 & 0x07 == _COMMAND_FRAME:
        return []
    packets = read_enhanced_header(payload, multitrack=_MULTITRACK)
    return [_further_tag(packet) for packet in packets if packet.track_id != DEFAULT_TRACK_ID]


def _further_tag(packet: EnhancedPacket) -> FurtherTag:
    try:
        return FurtherTag(track_id=packet.track_id, tag=_read_packet(packet))
    except InputFaultError as error:
        return FurtherTag(track_id=packet.track_id, tag=error)


def _read_legacy(payload: bytes | bytearray) -> VideoTag | None:
    codec = payload[0] & 0x0F
    if codec != _AVC:
        raise _unsupported(_LEGACY_CODECS.get(codec, f"of the unknown codec id {codec}"))
    if len(payload) < _LEGACY_HEADER_BYTES:
        raise invalid_input("a video message is truncated")
    body = memoryview(payload)[_LEGACY_HEADER_BYTES:]
    match payload[1]:
        case 0:
            return VideoTag(type=VideoTagType.CONFIGURATION, body=body)
        case 1:
            composition_ms = int.from_bytes(payload[2:5], signed=True)
            return VideoTag(type=VideoTagType.FRAME, composition_ms=composition_ms, body=body)
        case 2:  # end of sequence
            return None
        case other:
            raise invalid_input(f"a video message has the unknown AVC packet type {other}")


def _read_enhanced(payload: bytes | bytearray) -> VideoTag | None:
    packet = default_track(read_enhanced_header(payload, multitrack=_MULTITRACK))
    return None if packet is None else _read_packet(packet)


def _read_packet(packet: EnhancedPacket) -> VideoTag | None:
    if packet.fourcc != b"avc1":
        raise _unsupported(_FOURCCS.get(packet.fourcc, f"of the unknown codec {packet.fourcc_text}"))
    match packet.packet_type:
        case PacketType.SEQUENCE_START:
            return VideoTag(type=VideoTagType.CONFIGURATION, body=packet.body)
        case PacketType.CODED_FRAMES:
            if len(packet.body) < 3:
                raise invalid_input("a video message is truncated")
            composition_ms = int.from_bytes(packet.body[:3], signed=True)
            return VideoTag(type=VideoTagType.FRAME, composition_ms=composition_ms, body=packet.body[3:])
        case PacketType.CODED_FRAMES_X:  # without a composition time, which is 0
            return VideoTag(type=VideoTagType.FRAME, body=packet.body)
        case PacketType.SEQUENCE_END | PacketType.DESCRIPTION:
            return None
        case other:
            raise invalid_input(f"a video message has the unknown packet type {other}")


def _unsupported(found: str) -> InputFaultError:
    return unsupported_video(f"the video is {found}; it must be H.264")
