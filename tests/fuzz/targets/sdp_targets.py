"""SDP offers and ICE fragments: parsed, negotiated and answered, or refused with MediaRefusedError."""

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.port import MediaRefusedError
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, SourceFormat, ViewerPlan
from stagebook.media.rtc.sdp.media_section_parser import MAX_CANDIDATES
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_answer import SentTrack, write_publisher_answer, write_viewer_answer
from stagebook.media.rtc.sdp.sdp_parser import MAX_DESCRIPTION_SIZE_BYTES, parse_description
from stagebook.media.rtc.sdp.session_description import SdpMalformedError, SessionDescription
from stagebook.media.rtc.sdp.trickle_fragment import MAX_FRAGMENT_SIZE_BYTES, parse_fragment, write_restart_fragment
from tests.fuzz.fuzz_target import FuzzTarget
from tests.media.rtc import offers

_PREFERENCES = ((Codec.H264, Codec.VP8), (Codec.VP8,))
_H264 = SourceFormat(
    video_codec=Codec.H264,
    video_parameters="level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    audio_codec=Codec.OPUS,
    audio_parameters="minptime=10;useinbandfec=1;stereo=1",
    audio_is_stereo=True,
)
_VP8 = SourceFormat(video_codec=Codec.VP8, video_parameters="", audio_codec=None, audio_parameters="")


def check_offer(data: bytes) -> None:
    """An offer is malformed, refused, or has an answer that can be parsed and has the sections of the offer."""
    sdp = data.decode("utf-8", "replace")
    try:
        offer = parse_description(sdp)
    except SdpMalformedError:
        return
    for codecs in _PREFERENCES:
        _check_publisher(offer, codecs)
    for source in (_H264, _VP8):
        _check_viewer(offer, source)


def _check_publisher(offer: SessionDescription, codecs: tuple[Codec, ...]) -> None:
    try:
        plan = negotiate_publisher(offer, video_codecs=codecs)
    except MediaRefusedError:
        return
    _check_answer(offer, plan, write_publisher_answer(plan, local=offers.LOCAL), "recvonly")
    # The viewers of what was negotiated can be answered, too.
    _check_viewer(offer, _H264.fed_by(plan))


def _check_viewer(offer: SessionDescription, source: SourceFormat) -> None:
    try:
        plan = negotiate_viewer(offer, source=source)
    except MediaRefusedError:
        return
    sent = {track.mid: SentTrack(ssrc=2 * number, rtx_ssrc=2 * number + 1) for number, track in enumerate(plan.tracks)}
    answer = write_viewer_answer(plan, local=offers.LOCAL, sent=sent, stream_id="stream", cname="cname")
    _check_answer(offer, plan, answer, "sendonly")


def _check_answer(offer: SessionDescription, plan: PublisherPlan | ViewerPlan, sdp: str, direction: str) -> None:
    answer = parse_description(sdp)
    assert [(section.kind, section.protocol, section.mid) for section in answer.sections] == [
        (section.kind, section.protocol, section.mid) for section in offer.sections
    ]
    used, idle = {track.section for track in plan.tracks}, {track.section for track in plan.idle}
    for number, section in enumerate(answer.sections):
        assert section.direction == (direction if number in used else "inactive")
        assert (section.port == 0) == (number not in used | idle)
        assert set(section.formats) <= set(offer.sections[number].formats)
    assert set(answer.bundle) <= set(offer.bundle)
    assert all(track.kind in (MediaKind.AUDIO, MediaKind.VIDEO) for track in plan.tracks)


def check_fragment(data: bytes) -> None:
    """A fragment is malformed, or its restart has an answer that can be parsed."""
    try:
        fragment = parse_fragment(data.decode("utf-8", "replace"))
    except SdpMalformedError:
        return
    assert fragment.candidate_count <= MAX_CANDIDATES
    assert (fragment.ufrag is None) == (fragment.pwd is None)
    assert fragment.restarts(ufrag="another", pwd="password") == (fragment.ufrag is not None)
    if fragment.ufrag is not None and fragment.pwd is not None:
        assert not fragment.restarts(ufrag=fragment.ufrag, pwd=fragment.pwd)
    answer = parse_fragment(write_restart_fragment(offers.LOCAL, mid="0", kind="audio"))
    assert (answer.ufrag, answer.pwd) == (offers.LOCAL.ufrag, offers.LOCAL.pwd)


_FRAGMENT = offers.lines(
    """
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
m=audio 9 UDP/TLS/RTP/SAVPF 0
a=mid:0
a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1
a=end-of-candidates
"""
)

TARGETS = (
    FuzzTarget(
        name="sdp-offer",
        check=check_offer,
        max_size_bytes=MAX_DESCRIPTION_SIZE_BYTES,
        seeds=tuple(offer.encode() for offer in (*offers.PUBLISHERS.values(), offers.FIREFOX_VIEWER)),
        operations_per_byte=150,
    ),
    FuzzTarget(
        name="ice-fragment",
        check=check_fragment,
        max_size_bytes=MAX_FRAGMENT_SIZE_BYTES,
        seeds=(_FRAGMENT.encode(),),
    ),
)
