"""The media kinds and codecs that Stagebook carries, under their SDP names."""

from enum import StrEnum


class MediaKind(StrEnum):
    """The media type of an SDP `m=` line (RFC 8866 section 5.14)."""

    AUDIO = "audio"
    VIDEO = "video"


class Codec(StrEnum):
    """The encoding name of an `a=rtpmap` attribute: RFC 6184 (H264), RFC 7741 (VP8), RFC 7587 (opus).

    Encoding names are case-insensitive in SDP; compare them in lower case.
    """

    H264 = "H264"
    VP8 = "VP8"
    OPUS = "opus"
