"""Inspection of VP8 RTP payloads (RFC 7741): keyframe starts and frame size.

In a frame's first packet, the VP8 frame header follows the payload descriptor (`vp8_descriptor`, RFC 6386 section 9.1);
it says whether the frame is a keyframe and, if so, how large it is. The functions accept any bytes and never raise.
"""

from stagebook.media.codecs.vp8_descriptor import Vp8Descriptor, parse_descriptor

# The frame header.
_FRAME_HEADER_BYTES = 10
_START_CODE = b"\x9d\x01\x2a"
_SIZE_MASK = 0x3FFF
"""The upper two bits of the width and height fields are a scaling factor for display."""


def starts_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload begins a keyframe."""
    descriptor = parse_descriptor(payload)
    return descriptor is not None and descriptor.is_key


def keyframe_size(payload: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels if the payload begins a keyframe and has its whole header, otherwise None."""
    descriptor = parse_descriptor(payload)
    return None if descriptor is None else size_of_keyframe(payload, descriptor)


def size_of_keyframe(payload: bytes, descriptor: Vp8Descriptor) -> tuple[int, int] | None:
    """As `keyframe_size`, for a payload whose descriptor has been read."""
    if not descriptor.is_key:
        return None
    header = payload[descriptor.size : descriptor.size + _FRAME_HEADER_BYTES]
    if len(header) < _FRAME_HEADER_BYTES or header[3:6] != _START_CODE:
        return None
    width = int.from_bytes(header[6:8], "little") & _SIZE_MASK
    height = int.from_bytes(header[8:10], "little") & _SIZE_MASK
    return (width, height) if width and height else None
