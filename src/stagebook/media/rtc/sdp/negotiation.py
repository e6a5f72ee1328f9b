"""Decides what to answer to an offer (RFC 3264, JSEP RFC 8829 section 5.3).

In offer/answer one side offers media sections with all that it can do, and the other side answers section by section:
it accepts a section with a subset of the offered codecs and attributes, or rejects it with port 0. The answer has the
same number of sections in the same order (RFC 3264 section 6). Here the client always offers and the engine always
answers, as in WHIP (RFC 9725 section 4.2), and there is one round only.

The rules of the engine:

* The first usable section of each kind is accepted; all others are rejected.
* An accepted section gets one codec. A publisher's is the best for most viewers; a viewer's is that of its source. A
  publisher's video section also gets the other codecs that it offers and the settings allow, after that one. Browsers
  send the first codec of the answer. But a client whose track is encoded already can send only that codec, and often
  offers more than that (pion offers all that it can receive).
* All accepted sections share one transport: the offer must bundle them (RFC 9143) and multiplex RTCP with RTP (RFC
  5761 section 5.1).
* ICE: the peer is the full agent, the engine is lite. DTLS: the peer is the client (`a=setup:passive` in the answer),
  unless its offer is `a=setup:passive`: then the engine is (`a=setup:active`).
* A publisher may send one section of each kind. With more it is refused as a whole, because a client that is answered
  regards all that it sends as published (RFC 9725 section 4.4.3).
* A session that cannot be connected or has no usable media is refused as a whole with MediaRefusedError.

The functions are pure: a description goes in, a plan comes out. `sdp_answer` writes the plan as SDP.
"""

from collections.abc import Callable, Sequence

import msgspec

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sdp.codec_choice import (
    CodecChoice,
    append_parameter,
    choose_opus,
    choose_publisher_video,
    choose_viewer_video,
    parse_fmtp,
)
from stagebook.media.rtc.sdp.header_extensions import RID_URI, HeaderExtensions, accepted_id, negotiate_extensions
from stagebook.media.rtc.sdp.media_plan import (
    PublisherPlan,
    RejectedSection,
    RemoteTransport,
    SourceFormat,
    TrackPlan,
    ViewerPlan,
)
from stagebook.media.rtc.sdp.session_description import MediaSection, SdpMalformedError, SessionDescription

_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF")
"""The protocols that an answerer must accept (RFC 8829 section 5.1.2)."""

_Choose = Callable[[MediaSection], CodecChoice | None]
_IndexedSections = list[tuple[int, MediaSection]]


def negotiate_publisher(
    offer: SessionDescription, *, video_codecs: Sequence[Codec], current: SourceFormat | None = None
) -> PublisherPlan:
    """Return the plan for a publisher.

    `video_codecs` are in order of preference. `current` is the format of the source that this connection takes over;
    its codec and H.264 profile are preferred, so that the viewers can stay.

    Raises MediaRefusedError with one of these reasons:

    * VIDEO_CODEC: no section sends video with one of `video_codecs`;
    * AUDIO_CODEC: audio is sent, but not as Opus;
    * MALFORMED: the offer cannot be connected, for example without ICE credentials or without BUNDLE, or it sends two
      sections of a kind.
    """
    sending = _usable(offer, ("sendonly", "sendrecv"))
    for kind in MediaKind:
        if sum(section.kind == kind for _, section in sending) > 1:
            raise SdpMalformedError(f"the offer sends more than one {kind} section, and WHIP allows one of each kind")
    video = _first(sending, MediaKind.VIDEO, lambda section: choose_publisher_video(section, video_codecs, current))
    if video is None:
        names = " or ".join(video_codecs)
        raise MediaRefusedError(
            reason=RefusalReason.VIDEO_CODEC, detail=f"the offer has no video section that sends {names}"
        )
    video = _with_alternatives(video, offer.sections[video.section], video_codecs, current)
    audio = _first(sending, MediaKind.AUDIO, choose_opus)
    if audio is None and _has(sending, MediaKind.AUDIO):
        raise MediaRefusedError(reason=RefusalReason.AUDIO_CODEC, detail="the offer sends audio, but not as Opus")
    tracks = [video] if audio is None else [video, audio]
    return PublisherPlan(
        remote=_remote_transport(offer, tracks),
        video=video,
        audio=audio,
        rejected=_rejected(offer, tracks),
        bundled=_is_bundled(offer, tracks),
    )


def negotiate_viewer(offer: SessionDescription, *, source: SourceFormat) -> ViewerPlan:
    """Return the plan for a viewer of a source with the format `source`.

    Raises MediaRefusedError with one of these reasons:

    * VIDEO_CODEC, AUDIO_CODEC: a section would receive that kind of media, but not with the source's codec;
    * MALFORMED: the offer cannot be connected, or no section receives media.
    """
    receiving = _usable(offer, ("recvonly", "sendrecv"))
    video = _first(receiving, MediaKind.VIDEO, lambda section: choose_viewer_video(section, source))
    if video is None and _has(receiving, MediaKind.VIDEO):
        raise MediaRefusedError(
            reason=RefusalReason.VIDEO_CODEC, detail=f"the offer cannot take the publisher's {source.video_codec} video"
        )
    audio = _first(receiving, MediaKind.AUDIO, choose_opus)
    if audio is None and source.audio_codec is not None and _has(receiving, MediaKind.AUDIO):
        raise MediaRefusedError(reason=RefusalReason.AUDIO_CODEC, detail="the offer cannot take Opus audio")
    if audio is not None and source.audio_is_stereo:
        # What the answerer sends (RFC 7587 section 6.1): browsers decode to one channel without it.
        audio = msgspec.structs.replace(audio, parameters=append_parameter(audio.parameters, "sprop-stereo=1"))
    tracks = [_without_sender_attributes(track) for track in (video, audio) if track is not None]
    if not tracks:
        raise SdpMalformedError("the offer has no audio or video section that receives")
    return ViewerPlan(
        remote=_remote_transport(offer, tracks),
        video=next((track for track in tracks if track.kind is MediaKind.VIDEO), None),
        audio=next((track for track in tracks if track.kind is MediaKind.AUDIO), None),
        rejected=_rejected(offer, tracks),
        bundled=_is_bundled(offer, tracks),
    )


def _usable(offer: SessionDescription, directions: Sequence[str]) -> _IndexedSections:
    """Return the sections, with their indexes, that have one of `directions`, an SRTP protocol and are not disabled.

    Port 0 disables a section, except with a=bundle-only (RFC 9143 section 6).
    """
    return [
        (index, section)
        for index, section in enumerate(offer.sections)
        if section.direction in directions
        and section.protocol.upper() in _PROTOCOLS
        and (section.port != 0 or section.bundle_only)
    ]


def _has(sections: _IndexedSections, kind: MediaKind) -> bool:
    return any(section.kind == kind for _, section in sections)


def _first(sections: _IndexedSections, kind: MediaKind, choose: _Choose) -> TrackPlan | None:
    """Return the plan for the first section of a kind for which `choose` finds a codec."""
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
    # A layer is recognised by the RID in its packets. Without that extension, simulcast by rid cannot work.
    rids = section.send_rids if accepted_id(section.extensions, RID_URI) is not None else ()
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
        feedback=payload.feedback if kind is MediaKind.VIDEO else (),
        extensions=negotiate_extensions(section.extensions, is_simulcast=bool(rids)),
        ssrcs=ssrcs,
        rtx_of=rtx_of,
        is_stereo=choice.is_stereo,
        rtcp_reduced_size=section.rtcp_reduced_size,
        rids=rids,
        parameter_sets=parse_fmtp(payload.parameters).get("sprop-parameter-sets", ""),
    )


def _with_alternatives(
    video: TrackPlan, section: MediaSection, codecs: Sequence[Codec], current: SourceFormat | None
) -> TrackPlan:
    """Return a publisher's video track with the other `codecs` that its section offers, in their order."""
    choices = [choose_publisher_video(section, (codec,), current) for codec in codecs if codec is not video.codec]
    alternatives = [_track(video.section, section, video.kind, choice) for choice in choices if choice is not None]
    return msgspec.structs.replace(video, alternatives=tuple(alternatives))


def _without_sender_attributes(track: TrackPlan) -> TrackPlan:
    """Return a viewer's track, without the attributes that describe streams of the peer.

    The engine sends one stream with an SSRC of its own, which the answer signals.
    """
    return msgspec.structs.replace(
        track, extensions=HeaderExtensions(), ssrcs=(), rtx_of={}, rids=(), parameter_sets=""
    )


def _ssrcs(section: MediaSection) -> tuple[tuple[int, ...], dict[int, int]]:
    """Return the media SSRCs and, for each RTX SSRC, the media SSRC that it repairs (RFC 5576 section 4.2).

    A SIM group lists the layers of SSRC-based simulcast, lowest first; they come first in this order. The second and
    later SSRCs of a FEC group carry forward error correction, which the engine does not use.
    """
    rtx_of: dict[int, int] = {}
    fec: set[int] = set()
    layers: tuple[int, ...] = ()
    for group in section.ssrc_groups:
        if group.semantics == "FID" and len(group.ssrcs) == 2:
            rtx_of[group.ssrcs[1]] = group.ssrcs[0]
        elif group.semantics.startswith("FEC"):
            fec.update(group.ssrcs[1:])
        elif group.semantics == "SIM" and not layers:
            layers = group.ssrcs
    media = dict.fromkeys((*layers, *section.ssrcs))
    return tuple(ssrc for ssrc in media if ssrc not in rtx_of and ssrc not in fec), rtx_of


def _is_bundled(offer: SessionDescription, tracks: Sequence[TrackPlan]) -> bool:
    return all(track.mid in offer.bundle for track in tracks)


def _remote_transport(offer: SessionDescription, tracks: Sequence[TrackPlan]) -> RemoteTransport:
    """Return the one transport of all tracks.

    It is described in the offerer-tagged section: the first accepted one of the BUNDLE group (RFC 9143 section 7.3.1).
    """
    if len(tracks) > 1 and not _is_bundled(offer, tracks):
        raise SdpMalformedError("audio and video must be in one BUNDLE group (bundle policy max-bundle)")
    section_of_mid = {track.mid: track.section for track in tracks}
    tagged = next((section_of_mid[mid] for mid in offer.bundle if mid in section_of_mid), tracks[0].section)
    transport = offer.sections[tagged].transport
    if transport.ufrag is None or transport.pwd is None:
        raise SdpMalformedError("a=ice-ufrag or a=ice-pwd is missing")
    if not transport.fingerprints:
        raise SdpMalformedError("a=fingerprint with SHA-256 or stronger is missing")
    if transport.setup not in ("actpass", "active", "passive", None):
        # WHIP asks clients for actpass or active (RFC 9725 section 4.4), but not all of them follow. Without a=setup an
        # endpoint is active (RFC 4145 section 4). holdconn, which sets up no connection, remains.
        raise SdpMalformedError("a=setup must be actpass, active or passive")
    return RemoteTransport(
        ufrag=transport.ufrag,
        pwd=transport.pwd,
        fingerprints=transport.fingerprints,
        is_dtls_server=transport.setup == "passive",
    )


def _rejected(offer: SessionDescription, tracks: Sequence[TrackPlan]) -> tuple[RejectedSection, ...]:
    accepted = {track.section for track in tracks}
    return tuple(
        RejectedSection(
            section=index,
            kind=section.kind,
            protocol=section.protocol,
            formats=section.formats,
            mid=section.mid,
        )
        for index, section in enumerate(offer.sections)
        if index not in accepted
    )
