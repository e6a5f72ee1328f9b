"""What we decided to do with an offer. Made by `negotiation`, written by `answer`, run by the forwarder."""

import msgspec

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.sdp.session_description import Fingerprint


class RemoteTransport(msgspec.Struct, frozen=True, kw_only=True):
    """The peer's ICE credentials and certificate hashes. It is always the DTLS client; its candidates are not needed
    by an ICE-lite agent."""

    ufrag: str
    pwd: str
    fingerprints: tuple[Fingerprint, ...]


class HeaderExtensions(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of the RTP header extensions that we use; None where the peer did not offer them."""

    mid: int | None = None
    rid: int | None = None
    repaired_rid: int | None = None


class TrackPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted media section: the one codec of the answer and all that tells its packets apart."""

    section: int
    """Index of the m= section in the offer."""
    kind: MediaKind
    mid: str
    protocol: str
    """The protocol of the m= line, which the answer repeats (RFC 8829 section 5.3.1)."""
    codec: Codec
    payload_type: int
    encoding: str
    """The encoding name as the offer wrote it, for the answer."""
    clock_rate: int
    channels: int
    parameters: str
    """The fmtp of the answer, "" for none."""
    rtx_payload_type: int | None = None
    feedback: tuple[str, ...] = ()
    """The kept rtcp-fb values: of nack, nack pli, ccm fir, goog-remb."""
    extensions: HeaderExtensions = HeaderExtensions()
    ssrcs: tuple[int, ...] = ()
    """Signalled media SSRCs (no RTX ones); legacy simulcast layers lowest first. Empty: learn them from packets."""
    rtx_of: dict[int, int] = {}
    """Signalled RTX SSRC to the media SSRC it repairs (FID groups)."""
    rtcp_reduced_size: bool = False
    """Whether the peer takes RTCP packets that do not begin with a report (RFC 5506)."""
    rids: tuple[str, ...] = ()
    """The simulcast layers' rids in the offer's order (no order of quality is promised)."""


class RejectedSection(msgspec.Struct, frozen=True, kw_only=True):
    """A section of the offer that is answered with port 0."""

    section: int
    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str | None


class PublisherPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher's offer, accepted. There is always a video track; audio may be missing."""

    remote: RemoteTransport
    video: TrackPlan
    audio: TrackPlan | None
    rejected: tuple[RejectedSection, ...] = ()
    bundled: bool = True
    """Whether the offer has the accepted sections in a BUNDLE group (a single section needs none)."""

    @property
    def tracks(self) -> tuple[TrackPlan, ...]:
        """The accepted tracks in the order of their sections."""
        return _ordered(self.video, self.audio)


class ViewerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A viewer's offer, accepted. At least one track is there.

    An audio track may be there although the source sends no audio: it stays silent until a publisher with audio takes
    the source over.
    """

    remote: RemoteTransport
    video: TrackPlan | None
    audio: TrackPlan | None
    rejected: tuple[RejectedSection, ...] = ()
    bundled: bool = True
    """Whether the offer has the accepted sections in a BUNDLE group (a single section needs none)."""

    @property
    def tracks(self) -> tuple[TrackPlan, ...]:
        """The accepted tracks in the order of their sections."""
        return _ordered(self.video, self.audio)


class SourceFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What a source sends: its codecs and the fmtp parameters its publisher's answer fixed."""

    video_codec: Codec
    video_parameters: str
    audio_codec: Codec | None
    audio_parameters: str

    @staticmethod
    def of(plan: PublisherPlan) -> "SourceFormat":
        """The format that a publisher's plan fixes."""
        return SourceFormat(
            video_codec=plan.video.codec,
            video_parameters=plan.video.parameters,
            audio_codec=plan.audio.codec if plan.audio else None,
            audio_parameters=plan.audio.parameters if plan.audio else "",
        )


def _ordered(*tracks: TrackPlan | None) -> tuple[TrackPlan, ...]:
    return tuple(sorted((track for track in tracks if track is not None), key=lambda track: track.section))
