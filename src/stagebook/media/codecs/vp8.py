"""Inspection of VP8 RTP payloads (RFC 7741): keyframe starts and frame size.

Each payload begins with a payload descriptor of 1 to 6 bytes (section 4.2). In a frame's first packet, the VP8 frame
header follows it (RFC 6386 section 9.1); it says whether the frame is a keyframe and, if so, how large it is. The
functions accept any bytes and never raise.
"""

# The payload descriptor's first byte.
_EXTENDED = 0x80
_START_OF_PARTITION = 0x10
_PARTITION_INDEX = 0x07
# Its extension byte.
_HAS_PICTURE_ID = 0x80
_HAS_TL0PICIDX = 0x40
_HAS_TID_OR_KEYIDX = 0x30
_LONG_PICTURE_ID = 0x80
# The frame header.
_INTER_FRAME = 0x01
_FRAME_HEADER_BYTES = 10
_START_CODE = b"\x9d\x01\x2a"
_SIZE_MASK = 0x3FFF
"""The upper two bits of the width and height fields are a scaling factor for display."""


def starts_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload begins a keyframe."""
    start = _frame_header_start(payload)
    return start is not None and not payload[start] & _INTER_FRAME


def keyframe_size(payload: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels if the payload begins a keyframe and has its whole header, otherwise None."""
    start = _frame_header_start(payload)
    if start is None or payload[start] & _INTER_FRAME:
        return None
    header = payload[start : start + _FRAME_HEADER_BYTES]
    if len(header) < _FRAME_HEADER_BYTES or header[3:6] != _START_CODE:
        return None
    width = int.from_bytes(header[6:8], "little") & _SIZE_MASK
    height = int.from_bytes(header[8:10], "little") & _SIZE_MASK
    return (width, height) if width and height else None


def _frame_header_start(payload: bytes) -> int | None:
    """The position of the frame header behind the payload descriptor; None if the packet does not begin a frame.

    A frame begins with the start (S) of partition 0 (PID).
    """
    if not payload or not payload[0] & _START_OF_PARTITION or payload[0] & _PARTITION_INDEX:
        return None
    position = 1
    if payload[0] & _EXTENDED:
        if len(payload) < 3:
            return None
        extension = payload[1]
        position = 2
        if extension & _HAS_PICTURE_ID:
            position += 2 if payload[2] & _LONG_PICTURE_ID else 1
        if extension & _HAS_TL0PICIDX:
            position += 1
        if extension & _HAS_TID_OR_KEYIDX:  # TID and KEYIDX share one byte.
            position += 1
    return position if position < len(payload) else None
