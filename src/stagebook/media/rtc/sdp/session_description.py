"""The value types of a parsed session description (RFC 8866).

A session description is a list of lines `<letter>=<value>`. A session part comes first, then one part for each media
section, which begins with an m= line. Most of WebRTC's information is in attributes, a= lines. Some attributes may
stand in the session part, where they are the default of every section. `sdp_parser` makes these values, with the
defaults already filled in.
"""

from typing import Final

import msgspec

from stagebook.media.port import MediaRefusedError, RefusalReason

KNOWN_FEEDBACK: Final = ("nack", "nack pli", "ccm fir", "goog-remb", "transport-cc")
"""The RTCP feedback that the engine implements (RFC 4585, RFC 5104, draft-alvestrand-rmcat-remb,
draft-holmer-rmcat-transport-wide-cc-extensions)."""


class SdpMalformedError(MediaRefusedError):
    """The string is not a session description that the engine accepts. `detail` names the line and the rule."""

    def __init__(self, detail: str) -> None:
        super().__init__(reason=RefusalReason.MALFORMED, detail=detail)


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """The hash of a certificate (RFC 8122 section 5): `algorithm` in lower case (sha-256), `digest` as raw bytes."""

    algorithm: str
    digest: bytes


class TransportDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The ICE and DTLS attributes of a section or of the session (RFC 8839 section 5.4, RFC 8842 section 4)."""

    ufrag: str | None
    pwd: str | None
    fingerprints: tuple[Fingerprint, ...]
    setup: str | None
    """The DTLS role: actpass, active, passive or holdconn (RFC 4145 section 4). None without an a=setup."""


class PayloadFormat(msgspec.Struct, frozen=True, kw_only=True):
    """One payload type of a section: its a=rtpmap, a=fmtp (RFC 8866 section 6) and a=rtcp-fb (RFC 4585 section 4.2)."""

    payload_type: int
    encoding: str
    clock_rate: int
    channels: int
    parameters: str
    """The value of a=fmtp, "" for none."""
    feedback: tuple[str, ...]
    """Those of KNOWN_FEEDBACK that a=rtcp-fb lists for the payload type or for the wildcard."""


class SsrcGroup(msgspec.Struct, frozen=True, kw_only=True):
    """An a=ssrc-group line (RFC 5576 section 4.2).

    FID pairs a media SSRC with its RTX SSRC. SIM, an extension of Chromium, lists simulcast layers, lowest first.
    """

    semantics: str
    ssrcs: tuple[int, ...]


class MediaSection(msgspec.Struct, frozen=True, kw_only=True):
    """One media section: an m= line with its attributes."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    """The format list of the m= line. A rejection repeats it (RFC 3264 section 6)."""
    mid: str | None
    direction: str
    """sendrecv, sendonly, recvonly or inactive, as the peer sees it."""
    transport: TransportDescription
    rtcp_mux: bool
    rtcp_reduced_size: bool
    bundle_only: bool
    """Whether port 0 does not disable the section (RFC 9143 section 6)."""
    payloads: tuple[PayloadFormat, ...]
    extensions: dict[str, int]
    """The offered header extensions: URI to id (RFC 8285 section 5)."""
    ssrcs: tuple[int, ...]
    ssrc_groups: tuple[SsrcGroup, ...]
    send_rids: tuple[str, ...]
    """The rids of a=simulcast:send in the offer's order (RFC 8853 section 5.1). Empty without simulcast."""


class SessionDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A whole session description."""

    bundle: tuple[str, ...]
    """The mids of the first BUNDLE group (RFC 9143 section 5). Empty without one."""
    sections: tuple[MediaSection, ...]
