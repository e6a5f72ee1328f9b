"""VP8 in RTP payloads (RFC 7741): keyframes and their size. Headers only: nothing is decoded."""


def starts_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload begins a keyframe. Any bytes are fine."""
    raise NotImplementedError


def keyframe_size(payload: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels if the payload begins a keyframe that says them (RFC 6386 section 9.1)."""
    raise NotImplementedError
