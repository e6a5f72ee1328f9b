"""The offers of the benchmark as the engine parses them, and its answers."""

import pytest

from bench.forwarder.sdp import AUDIO_SSRC, VIDEO_SSRC, LocalPeer, RemotePeer, read_answer, write_offer
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.sdp.media_plan import SourceFormat
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_answer import LocalTransport, SentTrack, write_viewer_answer
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.session_description import Fingerprint

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
    assert read_answer(answer) == RemotePeer(ufrag="remote", pwd="y" * 24, address=("127.0.0.1", 40_000))


def test_an_answer_without_a_transport_is_refused() -> None:
    with pytest.raises(ValueError, match="without a transport"):
        read_answer("v=0\r\n")
