"""Chooses the media sections of an offer that the answer accepts, and makes a track of each (RFC 3264 section 6).

`negotiation` has the rules that an offer as a whole must meet.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.sdp.codec_choice import CodecChoice, choose_opus, parse_fmtp, red_of_opus
from stagebook.media.rtc.sdp.header_extensions import (
    RID_URI,
    TRANSPORT_SEQUENCE_URI,
    HeaderExtensions,
    accepted_id,
    negotiate_extensions,
)
from stagebook.media.rtc.sdp.media_plan import RejectedSection, TrackPlan
from stagebook.media.rtc.sdp.session_description import MediaSection, SdpMalformedError, SessionDescription

SENDING: Final = ("sendonly", "sendrecv")
RECEIVING: Final = ("recvonly", "sendrecv")
_ANY_DIRECTION: Final = ("sendonly", "recvonly", "sendrecv", "inactive")
_PROTOCOLS: Final = ("UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF")
"""The protocols that an answerer must accept (RFC 8829 section 5.1.2)."""

Choose: TypeAlias = Callable[[MediaSection], CodecChoice | None]
"""Chooses the codec of a section; None if it has none that is supported."""
IndexedSections: TypeAlias = list[tuple[int, MediaSection]]
"""Sections with their indexes in the offer."""


def usable_sections(offer: SessionDescription, directions: Sequence[str]) -> IndexedSections:
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


def sends_video(offer: SessionDescription) -> bool:
    """Whether a video section sends and is not disabled, in whatever way: its publisher expects it to be published."""
    return any(
        section.kind == MediaKind.VIDEO and section.direction in SENDING and (section.port != 0 or section.bundle_only)
        for section in offer.sections
    )


def has_kind(sections: IndexedSections, kind: MediaKind) -> bool:
    """Whether one of the sections has this kind."""
    return any(section.kind == kind for _, section in sections)


def first_track(sections: IndexedSections, kind: MediaKind, choose: Choose) -> TrackPlan | None:
    """Return the plan for the first section of a kind for which `choose` finds a codec."""
    for index, section in sections:
        if section.kind == kind:
            choice = choose(section)
            if choice is not None:
                return plan_track(index, section, kind, choice)
    return None


def idle_tracks(offer: SessionDescription, tracks: Sequence[TrackPlan], choose_video: Choose) -> list[TrackPlan]:
    """Return a section for each kind without a track, if it shares the transport of the tracks and has a codec that is
    supported. The others are rejected."""
    kinds = {track.kind for track in tracks}
    idle = [
        (index, section)
        for index, section in usable_sections(offer, _ANY_DIRECTION)
        if section.kind not in kinds and section.mid in offer.bundle and section.rtcp_mux
    ]
    video = first_track(idle, MediaKind.VIDEO, choose_video)
    audio = first_track(idle, MediaKind.AUDIO, choose_opus)
    return [without_sender_attributes(track) for track in (video, audio) if track is not None]


def plan_track(index: int, section: MediaSection, kind: MediaKind, choice: CodecChoice) -> TrackPlan:
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
        feedback=_without(payload.feedback, "transport-cc") if kind is MediaKind.VIDEO else (),
        extensions=negotiate_extensions(section.extensions, is_simulcast=bool(rids)),
        ssrcs=ssrcs,
        rtx_of=rtx_of,
        is_stereo=choice.is_stereo,
        rtcp_reduced_size=section.rtcp_reduced_size,
        rids=rids,
        parameter_sets=parse_fmtp(payload.parameters).get("sprop-parameter-sets", ""),
    )


def without_sender_attributes(track: TrackPlan) -> TrackPlan:
    """Return a track without the attributes that describe streams of the peer: a viewer's or an idle one.

    To a viewer the engine sends one stream with an SSRC of its own, which the answer signals.
    """
    return msgspec.structs.replace(
        track, extensions=HeaderExtensions(), ssrcs=(), rtx_of={}, rids=(), parameter_sets=""
    )


def viewer_track(track: TrackPlan, section: MediaSection) -> TrackPlan:
    """Return the track of a viewer in its section: with the feedback by which the engine sends to it.

    Transport-wide congestion control takes the place of REMB. Audio is retransmitted to a viewer that offers NACK for
    it, unless it has RED: redundancy needs no round trip, and a packet that is repeated in place must not change.
    """
    number, feedback = _counted(track, section)
    red = _red(track, section)
    if red is not None:
        feedback = _without(feedback, "nack")
    return msgspec.structs.replace(
        without_sender_attributes(track),
        feedback=feedback if number is None else _without(feedback, "goog-remb"),
        extensions=HeaderExtensions(transport_sequence=number),
        red_payload_type=red,
    )


def publisher_track(track: TrackPlan, section: MediaSection) -> TrackPlan:
    """Return the track of a publisher in its section: with the feedback that the engine sends, and with RED.

    REMB stays beside transport-wide congestion control, to tell the publisher its bitrate limit.
    """
    number, feedback = _counted(track, section)
    return msgspec.structs.replace(
        track,
        feedback=feedback,
        extensions=msgspec.structs.replace(track.extensions, transport_sequence=number),
        red_payload_type=_red(track, section),
    )


def _counted(track: TrackPlan, section: MediaSection) -> tuple[int | None, tuple[str, ...]]:
    """Return the id of the header extension for transport-wide numbers, None without them, and the feedback that goes
    with it.

    Transport-wide congestion control needs the feedback and the header extension; a browser offers both in each
    section. A stream that is retransmitted without RTX cannot have it: the repeated packet must be the same as before,
    to the last byte, and its number would be a new one.
    """
    payload = next(each for each in section.payloads if each.payload_type == track.payload_type)
    number = accepted_id(section.extensions, TRANSPORT_SEQUENCE_URI)
    if "transport-cc" not in payload.feedback or ("nack" in payload.feedback and track.rtx_payload_type is None):
        number = None
    feedback = payload.feedback if number is not None else _without(payload.feedback, "transport-cc")
    is_audio = track.kind is MediaKind.AUDIO
    return number, tuple(value for value in feedback if not is_audio or value in ("nack", "transport-cc"))


def _red(track: TrackPlan, section: MediaSection) -> int | None:
    return red_of_opus(section, track.payload_type) if track.kind is MediaKind.AUDIO else None


def _without(feedback: tuple[str, ...], left_out: str) -> tuple[str, ...]:
    return tuple(value for value in feedback if value != left_out)


def rejected_sections(offer: SessionDescription, tracks: Sequence[TrackPlan]) -> tuple[RejectedSection, ...]:
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
