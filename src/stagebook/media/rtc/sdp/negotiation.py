"""Decides what to answer to an offer. Pure: descriptions in, plans out; MediaRefusedError says why not.

The first usable section of each kind is taken, all others are rejected. All that is taken shares one transport.
"""

from collections.abc import Callable, Sequence

import msgspec

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sdp.codec_choice import CodecChoice, choose_opus, choose_publisher_video, choose_viewer_video
from stagebook.media.rtc.sdp.media_plan import (
    HeaderExtensions,
    PublisherPlan,
    RejectedSection,
    RemoteTransport,
    SourceFormat,
    TrackPlan,
    ViewerPlan,
)
from stagebook.media.rtc.sdp.session_description import MediaSection, SdpMalformedError, SessionDescription

_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
_RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
_REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
_MAX_EXTENSION_ID = 14  # the one-byte form, RFC 8285 section 4.2
_FEEDBACK = ("nack", "nack pli", "ccm fir", "goog-remb")
_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF")  # what RFC 8829 section 5.1.2 makes us accept

_Choose = Callable[[MediaSection], CodecChoice | None]


def negotiate_publisher(
    offer: SessionDescription, *, video_codecs: Sequence[Codec], current: SourceFormat | None = None
) -> PublisherPlan:
    """Plan for a publisher. `video_codecs` in order of preference; `current` is the format of the source that this
    connection takes over, whose codec and H.264 profile then come first.

    Raises MediaRefusedError: VIDEO_CODEC (no sending video section with a codec of ours), AUDIO_CODEC (audio is sent,
    but not as Opus), MALFORMED (no ICE credentials, no fingerprint, setup:passive, not bundled ...).
    """
    sending = _usable(offer, ("sendonly", "sendrecv"))
    video = _first(sending, MediaKind.VIDEO, lambda section: choose_publisher_video(section, video_codecs, current))
    if video is None:
        names = " or ".join(video_codecs)
        raise MediaRefusedError(
            reason=RefusalReason.VIDEO_CODEC, detail=f"the offer has no video section that sends {names}"
        )
    audio = _first(sending, MediaKind.AUDIO, choose_opus)
    if audio is None and _has(sending, MediaKind.AUDIO):
        raise MediaRefusedError(reason=RefusalReason.AUDIO_CODEC, detail="the offer sends audio, but not as Opus")
    tracks = [video] if audio is None else [video, audio]
    return PublisherPlan(
        remote=_remote_transport(offer, tracks),
        video=video,
        audio=audio,
        rejected=_rejected(offer, tracks),
        bundled=_bundled(offer, tracks),
    )


def negotiate_viewer(offer: SessionDescription, *, source: SourceFormat) -> ViewerPlan:
    """Plan for a viewer of `source`. Raises MediaRefusedError: VIDEO_CODEC or AUDIO_CODEC (the viewer cannot take the
    source's codec), MALFORMED (as for a publisher, or nothing is to be received)."""
    receiving = _usable(offer, ("recvonly", "sendrecv"))
    video = _first(receiving, MediaKind.VIDEO, lambda section: choose_viewer_video(section, source))
    if video is None and _has(receiving, MediaKind.VIDEO):
        raise MediaRefusedError(
            reason=RefusalReason.VIDEO_CODEC, detail=f"the offer cannot take the publisher's {source.video_codec} video"
        )
    audio = _first(receiving, MediaKind.AUDIO, choose_opus)
    if audio is None and source.audio_codec is not None and _has(receiving, MediaKind.AUDIO):
        raise MediaRefusedError(reason=RefusalReason.AUDIO_CODEC, detail="the offer cannot take Opus audio")
    tracks = [_received(track) for track in (video, audio) if track is not None]
    if not tracks:
        raise SdpMalformedError("the offer has no audio or video section that receives")
    return ViewerPlan(
        remote=_remote_transport(offer, tracks),
        video=next((track for track in tracks if track.kind is MediaKind.VIDEO), None),
        audio=next((track for track in tracks if track.kind is MediaKind.AUDIO), None),
        rejected=_rejected(offer, tracks),
        bundled=_bundled(offer, tracks),
    )


_Indexed = list[tuple[int, MediaSection]]


def _usable(offer: SessionDescription, directions: Sequence[str]) -> _Indexed:
    """The sections that the peer itself has not disabled (port 0 without a=bundle-only, RFC 9143 section 6) and that
    flow in one of `directions`."""
    return [
        (index, section)
        for index, section in enumerate(offer.sections)
        if section.direction in directions
        and section.protocol.upper() in _PROTOCOLS
        and (section.port != 0 or section.bundle_only)
    ]


def _has(sections: _Indexed, kind: MediaKind) -> bool:
    return any(section.kind == kind for _, section in sections)


def _first(sections: _Indexed, kind: MediaKind, choose: _Choose) -> TrackPlan | None:
    """The plan for the first section of a kind that has a codec we take."""
    for index, section in sections:
        if section.kind == kind:
            choice = choose(section)
            if choice is not None:
                return _track(index, section, kind, choice)
    return None


def _track(index: int, section: MediaSection, kind: MediaKind, choice: CodecChoice) -> TrackPlan:
    if section.mid is None:
        raise SdpMalformedError(f"the {section.kind} section has no a=mid")
    if not section.rtcp_mux:
        raise SdpMalformedError(f"the {section.kind} section has no a=rtcp-mux")
    rids = section.send_rids if _extension(section, _RID) is not None else ()
    ssrcs, rtx_of = _ssrcs(section)
    payload = choice.payload
    return TrackPlan(
        section=index,
        kind=kind,
        mid=section.mid,
        protocol=section.protocol,
        codec=choice.codec,
        payload_type=payload.payload_type,
        encoding=payload.encoding,
        clock_rate=payload.clock_rate,
        channels=payload.channels,
        parameters=choice.parameters,
        rtx_payload_type=choice.rtx_payload_type,
        feedback=tuple(name for name in _FEEDBACK if name in payload.feedback) if kind is MediaKind.VIDEO else (),
        extensions=_extensions(section, layered=bool(rids)),
        ssrcs=ssrcs,
        rtx_of=rtx_of,
        rtcp_reduced_size=section.rtcp_reduced_size,
        rids=rids,
    )


def _received(track: TrackPlan) -> TrackPlan:
    """A viewer's track: we send one stream with a signalled SSRC, so what only a sender says is dropped."""
    return msgspec.structs.replace(track, extensions=HeaderExtensions(), ssrcs=(), rtx_of={}, rids=())


def _extensions(section: MediaSection, *, layered: bool) -> HeaderExtensions:
    return HeaderExtensions(
        mid=_extension(section, _MID),
        rid=_extension(section, _RID) if layered else None,
        repaired_rid=_extension(section, _REPAIRED_RID) if layered else None,
    )


def _extension(section: MediaSection, uri: str) -> int | None:
    number = section.extensions.get(uri)
    return number if number is not None and number <= _MAX_EXTENSION_ID else None


def _ssrcs(section: MediaSection) -> tuple[tuple[int, ...], dict[int, int]]:
    """(media SSRCs with legacy simulcast layers first and lowest first, RTX SSRC to media SSRC)."""
    rtx_of: dict[int, int] = {}
    repair: set[int] = set()
    layers: tuple[int, ...] = ()
    for group in section.ssrc_groups:
        if group.semantics == "FID" and len(group.ssrcs) == 2:
            rtx_of[group.ssrcs[1]] = group.ssrcs[0]
        elif group.semantics.startswith("FEC"):
            repair.update(group.ssrcs[1:])
        elif group.semantics == "SIM" and not layers:
            layers = group.ssrcs
    media = dict.fromkeys((*layers, *section.ssrcs))
    return tuple(ssrc for ssrc in media if ssrc not in rtx_of and ssrc not in repair), rtx_of


def _bundled(offer: SessionDescription, tracks: Sequence[TrackPlan]) -> bool:
    return all(track.mid in offer.bundle for track in tracks)


def _remote_transport(offer: SessionDescription, tracks: Sequence[TrackPlan]) -> RemoteTransport:
    """The one transport of all tracks: that of the section which the BUNDLE group names first (RFC 9143, 7.2.1)."""
    if len(tracks) > 1 and not _bundled(offer, tracks):
        raise SdpMalformedError("audio and video must be in one BUNDLE group (bundle policy max-bundle)")
    mids = {track.mid: track.section for track in tracks}
    tagged = next((mids[mid] for mid in offer.bundle if mid in mids), tracks[0].section)
    transport = offer.sections[tagged].transport
    if transport.ufrag is None or transport.pwd is None:
        raise SdpMalformedError("a=ice-ufrag or a=ice-pwd is missing")
    if not transport.fingerprints:
        raise SdpMalformedError("a=fingerprint with SHA-256 or stronger is missing")
    if transport.setup not in ("actpass", "active", None):
        # RFC 9725 section 4.4.2: the client offers actpass or active. Without a=setup it is active (RFC 8842, 5.1).
        raise SdpMalformedError("a=setup must be actpass or active")
    return RemoteTransport(ufrag=transport.ufrag, pwd=transport.pwd, fingerprints=transport.fingerprints)


def _rejected(offer: SessionDescription, tracks: Sequence[TrackPlan]) -> tuple[RejectedSection, ...]:
    taken = {track.section for track in tracks}
    return tuple(
        RejectedSection(
            section=index,
            kind=section.kind,
            protocol=section.protocol,
            formats=section.formats,
            mid=section.mid,
        )
        for index, section in enumerate(offer.sections)
        if index not in taken
    )
