"""The descriptions of the benchmark's peers as the engine parses them, and those of servers."""

import pytest

from bench.forwarder.sdp import (
    AUDIO_SSRC,
    VIDEO_SSRC,
    LocalPeer,
    RemotePeer,
    read_transport,
    write_offer,
    write_viewer_answer_to,
)
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.sdp.media_plan import SourceFormat
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_answer import LocalTransport, SentTrack, write_viewer_answer
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.session_description import Fingerprint

JANUS_OFFER = "\r\n".join(
    """v=0
m=audio 9 UDP/TLS/RTP/SAVPF 96
a=mid:0
a=rtpmap:96 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 107 108
a=mid:1
a=rtpmap:107 H264/90000
a=rtpmap:108 rtx/90000
a=fmtp:108 apt=107
""".splitlines()
)
LOCAL = LocalPeer(ufrag="local", pwd="x" * 24, digest=bytes(range(32)))


def test_the_offer_of_a_publisher_is_accepted_with_both_tracks_and_rtx() -> None:
    offer = parse_description(write_offer(LOCAL, sends=True))
    plan = negotiate_publisher(offer, video_codecs=(Codec.H264,))
    assert plan.audio is not None
    assert plan.video is not None
    assert (plan.video.ssrcs, plan.audio.ssrcs) == ((VIDEO_SSRC,), (AUDIO_SSRC,))
    assert plan.video.rtx_payload_type is not None
    assert plan.remote.ufrag == "local"


def test_the_offer_of_a_viewer_is_answered_and_the_answer_parsed() -> None:
    published = negotiate_publisher(parse_description(write_offer(LOCAL, sends=True)), video_codecs=(Codec.H264,))
    offer = parse_description(write_offer(LOCAL, sends=False))
    plan = negotiate_viewer(offer, source=SourceFormat.expected(Codec.H264).fed_by(published))
    transport = LocalTransport(
        ufrag="remote",
        pwd="y" * 24,
        fingerprint=Fingerprint(algorithm="sha-256", digest=bytes(32)),
        addresses=(("127.0.0.1", 40_000),),
        session_id=1,
    )
    sent = {track.mid: SentTrack(ssrc=number) for number, track in enumerate(plan.tracks)}
    answer = write_viewer_answer(plan, local=transport, sent=sent, stream_id="s", cname="c")
    assert read_transport(answer) == RemotePeer(ufrag="remote", pwd="y" * 24, address=("127.0.0.1", 40_000))


def test_the_answer_of_a_viewer_has_the_payload_types_of_the_offer() -> None:
    answer = write_viewer_answer_to(JANUS_OFFER, LOCAL)
    expected = write_offer(LOCAL, sends=False).replace("103", "108").replace("102", "107").replace("111", "96")
    assert answer == expected


def test_an_offer_without_retransmission_is_refused() -> None:
    with pytest.raises(ValueError, match="other media"):
        write_viewer_answer_to(JANUS_OFFER.replace("apt=107", "apt=109"), LOCAL)


def test_a_description_without_a_transport_is_refused() -> None:
    with pytest.raises(ValueError, match="without a transport"):
        read_transport("v=0\r\n")
