"""VP8 in RTP payloads (RFC 7741): keyframes and their size. Headers only: nothing is decoded."""

_EXTENDED = 0x80
_START = 0x10
_PARTITION = 0x07
_INTER_FRAME = 0x01
_START_CODE = b"\x9d\x01\x2a"
_SIZE_MASK = 0x3FFF  # the upper two bits are the scaling (RFC 6386 section 9.1)


def starts_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload begins a keyframe. Any bytes are fine."""
    start = _frame_start(payload)
    return start is not None and not payload[start] & _INTER_FRAME


def keyframe_size(payload: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels if the payload begins a keyframe that says them (RFC 6386 section 9.1)."""
    start = _frame_start(payload)
    if start is None or payload[start] & _INTER_FRAME:
        return None
    header = payload[start : start + 10]
    if len(header) < 10 or header[3:6] != _START_CODE:
        return None
    width = int.from_bytes(header[6:8], "little") & _SIZE_MASK
    height = int.from_bytes(header[8:10], "little") & _SIZE_MASK
    return (width, height) if width and height else None


def _frame_start(payload: bytes) -> int | None:
    """Where the VP8 frame header lies; None if this packet does not begin a frame (S set, PID 0; section 4.2)."""
    if not payload or not payload[0] & _START or payload[0] & _PARTITION:
        return None
    position = 1
    if payload[0] & _EXTENDED:
        if len(payload) < 3:
            return None
        has = payload[1]
        position = 2
        if has & 0x80:  # I: a PictureID of 7 or 15 bits
            position += 2 if payload[2] & 0x80 else 1
        if has & 0x40:  # L: TL0PICIDX
            position += 1
        if has & 0x30:  # T or K: one byte for both
            position += 1
    return position if position < len(payload) else None
