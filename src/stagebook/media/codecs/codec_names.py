"""The codecs that the forwarder carries, by the names that SDP gives them. Knows nothing of sections or packets."""

from enum import StrEnum


class MediaKind(StrEnum):
    """The kind of a media section that we carry."""

    AUDIO = "audio"
    VIDEO = "video"


class Codec(StrEnum):
    """An encoding name of `a=rtpmap` (RFC 6184, RFC 7741, RFC 7587). SDP compares them without regard to case."""

    H264 = "H264"
    VP8 = "VP8"
    OPUS = "opus"
