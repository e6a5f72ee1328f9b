"""Session descriptions as values (RFC 8866, RFC 8829). Made by `sdp_reader`; no word of what we answer."""

import msgspec

from stagebook.media.port import MediaRefusedError, RefusalReason


class SdpMalformedError(MediaRefusedError):
    """The text is not a session description that we can read. The text says which line and which rule."""

    def __init__(self, detail: str) -> None:
        super().__init__(reason=RefusalReason.MALFORMED, detail=detail)


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate's hash (RFC 8122): `algorithm` in lower case (sha-256 ...), `digest` the raw bytes."""

    algorithm: str
    digest: bytes


class TransportDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A peer's side of ICE and DTLS: session-level values are filled in where a section has none of its own."""

    ufrag: str | None
    pwd: str | None
    fingerprints: tuple[Fingerprint, ...]
    setup: str | None
    """`actpass`, `active`, `passive`, `holdconn`, or None where the offer has no a=setup."""


class PayloadFormat(msgspec.Struct, frozen=True, kw_only=True):
    """One payload type of a section with its rtpmap, fmtp and rtcp-fb lines (wildcard feedback is filled in)."""

    payload_type: int
    encoding: str
    clock_rate: int
    channels: int
    parameters: str
    feedback: tuple[str, ...]


class SsrcGroup(msgspec.Struct, frozen=True, kw_only=True):
    """An a=ssrc-group line (RFC 5576): FID pairs media and RTX, SIM lists legacy simulcast layers, lowest first."""

    semantics: str
    ssrcs: tuple[int, ...]


class MediaSection(msgspec.Struct, frozen=True, kw_only=True):
    """One m= section. `extensions` maps a header extension's URI to its id."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    """The m= line's own format list, to echo in a rejection."""
    mid: str | None
    direction: str
    transport: TransportDescription
    rtcp_mux: bool
    rtcp_reduced_size: bool
    bundle_only: bool
    payloads: tuple[PayloadFormat, ...]
    extensions: dict[str, int]
    ssrcs: tuple[int, ...]
    ssrc_groups: tuple[SsrcGroup, ...]
    send_rids: tuple[str, ...]
    """The rids of a=simulcast:send in the offer's order; empty without simulcast."""


class SessionDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A whole offer. `bundle` holds the mids of the first BUNDLE group."""

    bundle: tuple[str, ...]
    sections: tuple[MediaSection, ...]
