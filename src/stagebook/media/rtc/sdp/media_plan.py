"""The result of a negotiation: which sections of an offer are accepted, with which codec and which peer.

`negotiation` makes a plan from an offer, `sdp_answer` writes the answer from the plan, and the forwarder runs the
connection by it. A track has one codec (with its RTX payload type), because the forwarder sends packets on as they are.
A publisher's video track may have alternatives: the publisher sends one of the accepted codecs, and nothing before its
first packet tells which.
"""

import msgspec

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.sdp.header_extensions import HeaderExtensions
from stagebook.media.rtc.sdp.session_description import Fingerprint

_COMMON_H264 = "packetization-mode=1;profile-level-id=42e01f"
"""Constrained Baseline, which every browser sends and receives."""


class RemoteTransport(msgspec.Struct, frozen=True, kw_only=True):
    """The peer's ICE credentials, certificate fingerprints and DTLS role.

    Its candidates are not part of it: an ICE-lite agent does not use them.
    """

    ufrag: str
    pwd: str
    fingerprints: tuple[Fingerprint, ...]
    is_dtls_server: bool = False
    """Whether the peer waits for our ClientHello: its offer has a=setup:passive, as FFmpeg's WHIP muxer sends it."""


class InboundStreams(msgspec.Struct, frozen=True, kw_only=True):
    """The RTP streams that a peer may send by its plan. Nothing else is decrypted."""

    payload_types: frozenset[int] = frozenset()
    """The payload types of the media and of RTX. Empty for a viewer: it sends RTCP only."""
    ssrcs: tuple[int, ...] = ()
    """The signalled SSRCs, of media and of RTX. Others may be learned from packets, for example with simulcast by
    rid (RFC 8853), where SDP has no SSRCs."""


class TrackPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted media section: its codec, and how its packets are identified."""

    section: int
    """Index of the m= section in the offer."""
    kind: MediaKind
    mid: str
    protocol: str
    """The protocol of the m= line, which the answer repeats (RFC 8829 section 5.3.1)."""
    codec: Codec
    payload_type: int
    encoding: str
    """The encoding name as the offer spells it, for the answer."""
    clock_rate: int
    channels: int
    parameters: str
    """The value of the answer's a=fmtp, "" for none."""
    rtx_payload_type: int | None = None
    red_payload_type: int | None = None
    """The payload type of audio with redundancy (RED, RFC 2198)."""
    feedback: tuple[str, ...] = ()
    """The accepted a=rtcp-fb values: nack, nack pli, ccm fir, goog-remb, transport-cc."""
    extensions: HeaderExtensions = HeaderExtensions()
    ssrcs: tuple[int, ...] = ()
    """The signalled media SSRCs, without RTX. SSRC-based simulcast layers come lowest first. Empty if the offer signals
    none: the receiver then learns them from the packets."""
    rtx_of: dict[int, int] = {}
    """Each signalled RTX SSRC with the media SSRC that it repairs (FID groups, RFC 5576 section 4.2)."""
    is_stereo: bool = False
    """Whether a publisher's Opus has two channels."""
    rtcp_reduced_size: bool = False
    """Whether the peer accepts RTCP packets that do not begin with a report (RFC 5506)."""
    parameter_sets: str = ""
    """The publisher's sprop-parameter-sets (RFC 6184 section 8.1), "" for none."""
    rids: tuple[str, ...] = ()
    """The rids of the simulcast layers in the offer's order, which need not be the order of quality."""
    alternatives: tuple["TrackPlan", ...] = ()
    """The same section with the other codecs that the answer accepts from a publisher, the preferred first. They have
    no alternatives themselves."""

    @property
    def payload_types(self) -> tuple[int, ...]:
        """The accepted payload types in the order of the answer: each codec with its RTX and RED, then alternatives.

        RED comes before its codec: Chromium sends the first one.
        """
        numbers = (self.red_payload_type, self.payload_type, self.rtx_payload_type)
        own = (number for number in numbers if number is not None)
        return (*own, *(number for plan in self.alternatives for number in plan.payload_types))

    @property
    def encoding_ids(self) -> tuple[str, ...]:
        """The names of the simulcast layers: their rids, or their positions in a SIM group, the lowest first. Empty
        without simulcast."""
        if self.rids or len(self.ssrcs) < 2:
            return self.rids
        return tuple(str(position) for position in range(len(self.ssrcs)))

    def with_codec(self, alternative: "TrackPlan") -> "TrackPlan":
        """Return the plan with one of the `alternatives` as its codec, and the current codec among the others."""
        others = [plan for plan in self.alternatives if plan is not alternative]
        current = msgspec.structs.replace(self, alternatives=())
        return msgspec.structs.replace(alternative, alternatives=(current, *others))


class RejectedSection(msgspec.Struct, frozen=True, kw_only=True):
    """A section of the offer that the answer rejects with port 0 (RFC 3264 section 6)."""

    section: int
    """Index of the m= section in the offer."""
    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str | None


class PublisherPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan for a publisher's offer. It has at least one track."""

    remote: RemoteTransport
    video: TrackPlan | None
    audio: TrackPlan | None
    idle: tuple[TrackPlan, ...] = ()
    """Sections that the publisher does not send in, of kinds without a track. They are accepted as inactive."""
    rejected: tuple[RejectedSection, ...] = ()
    bundled: bool = True
    """Whether the offer has the accepted sections in a BUNDLE group. A single section needs no group."""

    @property
    def tracks(self) -> tuple[TrackPlan, ...]:
        """The accepted tracks in the order of their sections, without the idle ones."""
        return _in_section_order(self.video, self.audio)

    @property
    def inbound(self) -> InboundStreams:
        """The streams that the publisher may send."""
        tracks = self.tracks
        return InboundStreams(
            payload_types=frozenset(number for track in tracks for number in track.payload_types),
            ssrcs=tuple(ssrc for track in tracks for ssrc in (*track.ssrcs, *track.rtx_of)),
        )


class ViewerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan for a viewer's offer. It has at least one track.

    It may have a track of a kind that the source does not have. That track stays silent until a publisher with it takes
    the source over.
    """

    remote: RemoteTransport
    video: TrackPlan | None
    audio: TrackPlan | None
    idle: tuple[TrackPlan, ...] = ()
    """Sections that the viewer does not receive in, of kinds without a track. They are accepted as inactive."""
    rejected: tuple[RejectedSection, ...] = ()
    bundled: bool = True
    """Whether the offer has the accepted sections in a BUNDLE group. A single section needs no group."""

    @property
    def tracks(self) -> tuple[TrackPlan, ...]:
        """The accepted tracks in the order of their sections, without the idle ones."""
        return _in_section_order(self.video, self.audio)

    @property
    def inbound(self) -> InboundStreams:
        """Nothing: a viewer sends no media."""
        return InboundStreams()

    @property
    def resends_unchanged(self) -> bool:
        """Whether lost packets of video are sent again as they were, because the viewer has no RTX."""
        return self.video is not None and self.video.rtx_payload_type is None


class SourceFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The format of a source: its codecs and the a=fmtp parameters of its publisher's answer."""

    video_codec: Codec
    """Also without video: viewers negotiate this codec, so that they need not subscribe again when video begins."""
    video_parameters: str
    audio_codec: Codec | None
    audio_parameters: str
    audio_is_stereo: bool = False
    has_video: bool = True

    @staticmethod
    def expected(video_codec: Codec) -> "SourceFormat":
        """Return the format of a source before its first publisher: no media, and the codec that video would have."""
        parameters = _COMMON_H264 if video_codec is Codec.H264 else ""
        return SourceFormat(
            video_codec=video_codec,
            video_parameters=parameters,
            audio_codec=None,
            audio_parameters="",
            has_video=False,
        )

    def fed_by(self, plan: PublisherPlan) -> "SourceFormat":
        """Return the format when a publisher sends by its plan. Without video it keeps the codec of this format."""
        video, audio = plan.video, plan.audio
        return SourceFormat(
            video_codec=self.video_codec if video is None else video.codec,
            video_parameters=self.video_parameters if video is None else video.parameters,
            audio_codec=None if audio is None else audio.codec,
            audio_parameters="" if audio is None else audio.parameters,
            audio_is_stereo=audio is not None and audio.is_stereo,
            has_video=video is not None,
        )


def _in_section_order(*tracks: TrackPlan | None) -> tuple[TrackPlan, ...]:
    return tuple(sorted((track for track in tracks if track is not None), key=lambda track: track.section))
