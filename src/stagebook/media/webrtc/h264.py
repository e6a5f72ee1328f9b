"""H.264 in RTP payloads (RFC 6184): keyframes, parameter sets, slice types. Headers only: nothing is decoded."""

import msgspec


class SequenceParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What an SPS says (ITU-T H.264, 7.3.2.1.1); width and height are cropped, in pixels."""

    profile: int
    constraints: int
    level: int
    width: int
    height: int


def starts_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload begins a keyframe: an SPS or the first fragment of an IDR slice. Any bytes are fine."""
    raise NotImplementedError
