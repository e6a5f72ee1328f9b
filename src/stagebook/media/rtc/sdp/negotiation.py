"""Decides what to answer to an offer (RFC 3264, JSEP RFC 8829 section 5.3).

In offer/answer one side offers media sections with all that it can do, and the other side answers section by section:
it accepts a section with a subset of the offered codecs and attributes, or rejects it with port 0. The answer has the
same number of sections in the same order (RFC 3264 section 6). Here the client always offers and the engine always
answers, as in WHIP (RFC 9725 section 4.2), and there is one round only.

The rules of the engine:

* The first usable section of each kind is accepted; all others are rejected. One kind is enough. A section of the
  other kind that sends nothing (or for a viewer, receives nothing) is accepted as inactive, because some clients cannot
  handle a rejected section (aiortc).
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

from collections.abc import Sequence

import msgspec

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sdp.codec_choice import (
    append_parameter,
    choose_opus,
    choose_publisher_video,
    choose_viewer_video,
)
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, RemoteTransport, SourceFormat, TrackPlan, ViewerPlan
from stagebook.media.rtc.sdp.section_choice import (
    RECEIVING,
    SENDING,
    first_track,
    has_kind,
    idle_tracks,
    plan_track,
    publisher_track,
    rejected_sections,
    sends_video,
    usable_sections,
    viewer_track,
)
from stagebook.media.rtc.sdp.session_description import MediaSection, SdpMalformedError, SessionDescription


def negotiate_publisher(
    offer: SessionDescription, *, video_codecs: Sequence[Codec], current: SourceFormat | None = None
) -> PublisherPlan:
    """Return the plan for a publisher.

    `video_codecs` are in order of preference. `current` is the format of the source that this connection takes over;
    its codec and H.264 profile are preferred, so that the viewers can stay.

    Raises MediaRefusedError with one of these reasons:

    * VIDEO_CODEC: video is sent, but not with one of `video_codecs`, or no section sends;
    * AUDIO_CODEC: audio is sent, but not as Opus;
    * MALFORMED: the offer cannot be connected, for example without ICE credentials or without BUNDLE, or it sends two
      sections of a kind.
    """
    sending = usable_sections(offer, SENDING)
    for kind in MediaKind:
        if sum(section.kind == kind for _, section in sending) > 1:
            raise SdpMalformedError(f"the offer sends more than one {kind} section, and WHIP allows one of each kind")
    video = first_track(
        sending, MediaKind.VIDEO, lambda section: choose_publisher_video(section, video_codecs, current)
    )
    if video is None and (sends_video(offer) or not has_kind(sending, MediaKind.AUDIO)):
        names = " or ".join(video_codecs)
        raise MediaRefusedError(
            reason=RefusalReason.VIDEO_CODEC, detail=f"the offer has no video section that sends {names}"
        )
    if video is not None:
        video = _with_alternatives(video, offer.sections[video.section], video_codecs, current)
    audio = first_track(sending, MediaKind.AUDIO, choose_opus)
    if audio is None and has_kind(sending, MediaKind.AUDIO):
        raise MediaRefusedError(reason=RefusalReason.AUDIO_CODEC, detail="the offer sends audio, but not as Opus")
    if audio is not None:
        audio = publisher_track(audio, offer.sections[audio.section])
    tracks = [track for track in (video, audio) if track is not None]
    idle = idle_tracks(offer, tracks, lambda section: choose_publisher_video(section, video_codecs, current))
    accepted = [*tracks, *idle]
    return PublisherPlan(
        remote=_remote_transport(offer, accepted),
        video=video,
        audio=audio,
        idle=tuple(idle),
        rejected=rejected_sections(offer, accepted),
        bundled=_is_bundled(offer, accepted),
    )


def negotiate_viewer(offer: SessionDescription, *, source: SourceFormat) -> ViewerPlan:
    """Return the plan for a viewer of a source with the format `source`.

    Raises MediaRefusedError with one of these reasons:

    * VIDEO_CODEC, AUDIO_CODEC: a section would receive that kind of media, but not with the source's codec. Without
      the source's codec of a kind that the source does not send, the section is rejected instead;
    * MALFORMED: the offer cannot be connected, or no section receives media.
    """
    receiving = usable_sections(offer, RECEIVING)
    video = first_track(receiving, MediaKind.VIDEO, lambda section: choose_viewer_video(section, source))
    if video is None and source.has_video and has_kind(receiving, MediaKind.VIDEO):
        raise MediaRefusedError(
            reason=RefusalReason.VIDEO_CODEC, detail=f"the offer cannot take the publisher's {source.video_codec} video"
        )
    audio = first_track(receiving, MediaKind.AUDIO, choose_opus)
    if audio is None and source.audio_codec is not None and has_kind(receiving, MediaKind.AUDIO):
        raise MediaRefusedError(reason=RefusalReason.AUDIO_CODEC, detail="the offer cannot take Opus audio")
    if audio is not None and source.audio_is_stereo:
        # What the answerer sends (RFC 7587 section 6.1): browsers decode to one channel without it.
        audio = msgspec.structs.replace(audio, parameters=append_parameter(audio.parameters, "sprop-stereo=1"))
    tracks = [viewer_track(track, offer.sections[track.section]) for track in (video, audio) if track is not None]
    if not tracks:
        raise SdpMalformedError("the offer has no audio or video section that receives")
    idle = idle_tracks(offer, tracks, lambda section: choose_viewer_video(section, source))
    accepted = [*tracks, *idle]
    return ViewerPlan(
        remote=_remote_transport(offer, accepted),
        video=next((track for track in tracks if track.kind is MediaKind.VIDEO), None),
        audio=next((track for track in tracks if track.kind is MediaKind.AUDIO), None),
        idle=tuple(idle),
        rejected=rejected_sections(offer, accepted),
        bundled=_is_bundled(offer, accepted),
    )


def _with_alternatives(
    video: TrackPlan, section: MediaSection, codecs: Sequence[Codec], current: SourceFormat | None
) -> TrackPlan:
    """Return a publisher's video track with the other `codecs` that its section offers, in their order."""
    choices = [choose_publisher_video(section, (codec,), current) for codec in codecs if codec is not video.codec]
    plans = [plan_track(video.section, section, video.kind, choice) for choice in choices if choice is not None]
    alternatives = tuple(publisher_track(plan, section) for plan in plans)
    return msgspec.structs.replace(publisher_track(video, section), alternatives=alternatives)


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
