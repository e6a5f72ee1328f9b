"""What changes in session descriptions between a peer and LiveKit."""

import msgspec
import pytest

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.livekit.livekit_sdp import (
    fragment_candidates,
    ice_session,
    publisher_answer,
    publisher_offer,
    restart_fragment,
    restarted_offer,
    viewer_codecs,
    with_candidates,
    with_track_ids,
)
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, SourceFormat
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.trickle_fragment import parse_fragment
from tests.media.livekit.recorded_messages import recorded
from tests.media.rtc import offers

ANSWER = recorded("simulcast_publisher")[3].answer.sdp
CANDIDATES = ("candidate:1 1 udp 9 192.0.2.1 1 typ host", "candidate:2 1 tcp 8 192.0.2.1 2 typ host tcptype passive")


def plan(offer: str = offers.CHROMIUM_SIMULCAST, *codecs: Codec) -> PublisherPlan:
    return negotiate_publisher(parse_description(offer), video_codecs=codecs or (Codec.H264, Codec.VP8))


def test_the_answer_of_a_publisher_has_the_codecs_of_the_plan_in_its_order() -> None:
    answer = publisher_answer(ANSWER, plan(), bitrate_bps=1_000)
    assert "m=video 9 UDP/TLS/RTP/SAVPF 109 114 96 97\r\n" in answer
    assert "a=rtpmap:103 " not in answer
    assert "a=rtcp-fb:107 " not in answer
    assert "c=IN IP4 0.0.0.0\r\nb=TIAS:1000\r\n" in answer
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 63 111 0 8\r\n" in answer


def test_only_the_codecs_that_the_server_allows_are_answered() -> None:
    answer = publisher_answer(ANSWER, plan(offers.CHROMIUM_SIMULCAST, Codec.VP8), bitrate_bps=1_000)
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n" in answer


def test_a_section_without_any_of_the_codecs_stays_as_it_is() -> None:
    rejected = ANSWER.replace(ANSWER[ANSWER.index("m=video") :], "m=video 0 UDP/TLS/RTP/SAVPF 0\r\n")
    assert "m=video 0 UDP/TLS/RTP/SAVPF 0\r\n" in publisher_answer(rejected, plan(), bitrate_bps=1)


def test_livekit_is_offered_the_video_codec_that_the_publisher_shall_send() -> None:
    chosen = plan()
    offer = publisher_offer(offers.CHROMIUM_SIMULCAST, chosen)
    video = chosen.video
    assert video is not None
    assert f"m=video 9 UDP/TLS/RTP/SAVPF {video.payload_type} {video.rtx_payload_type}\r\n" in offer
    assert "VP8/90000" not in offer
    assert plan(offer).video == msgspec.structs.replace(video, alternatives=())


def test_the_tracks_of_an_offer_keep_their_ids() -> None:
    offer, ids = with_track_ids(offers.CHROMIUM_SIMULCAST, plan(), name="c")
    assert (ids.audio, ids.video) == ("1f2e", "3a4b")
    assert offer.count("a=msid:") == 2


@pytest.mark.parametrize("line", ["", "a=msid:7c3d\r\n"])
def test_tracks_without_an_id_get_one(line: str) -> None:
    offer = offers.CHROMIUM_SIMULCAST.replace("a=msid:7c3d 3a4b\r\n", line)
    changed, ids = with_track_ids(offer, plan(offer), name="c")
    assert ids.video == "c-video"
    assert "a=msid:c c-video\r\n" in changed
    assert "a=msid:7c3d\r\n" not in changed


def test_candidates_are_in_every_section_once() -> None:
    once = with_candidates(ANSWER, CANDIDATES)
    assert once == with_candidates(once, CANDIDATES)
    assert once.count(f"a={CANDIDATES[0]}\r\n") == 2
    assert once.count("a=end-of-candidates\r\n") == 2


def test_a_restarted_offer_has_the_new_credentials_and_candidates_only() -> None:
    fragment = f"a=ice-ufrag:new!\r\na=ice-pwd:new-password-of-24-bytes\r\na={CANDIDATES[0]}\r\n"
    offered = with_candidates(offers.CHROMIUM, ("candidate:9 1 udp 9 192.0.2.9 9 typ host",))
    made = restarted_offer(offered, parse_fragment(fragment), fragment_candidates(fragment))
    sections = parse_description(made).sections
    assert {(each.transport.ufrag, each.transport.pwd) for each in sections} == {("new!", "new-password-of-24-bytes")}
    assert "192.0.2.9" not in made
    assert made.count(f"a={CANDIDATES[0]}\r\n") == 2


def test_the_fragment_of_a_restart_has_the_credentials_of_the_answer() -> None:
    fragment = restart_fragment(ANSWER, CANDIDATES, mid="0", kind="audio")
    parsed = parse_fragment(fragment)
    assert (parsed.ufrag, parsed.candidate_count, parsed.end_of_candidates) == (ice_session(ANSWER), 2, True)
    assert fragment.index("m=audio") < fragment.index("a=mid:0") < fragment.index("a=candidate")


def test_an_answer_without_credentials_is_a_failure_of_livekit() -> None:
    with pytest.raises(MediaRefusedError) as caught:
        ice_session("v=0\r\n")
    assert caught.value.reason is RefusalReason.ENGINE_LOST


def test_the_codecs_of_a_viewer_are_those_of_its_sections_that_the_publisher_sends() -> None:
    offer = parse_description(offers.CHROMIUM.replace("a=sendonly", "a=recvonly"))
    viewer = negotiate_viewer(offer, source=SourceFormat.expected(Codec.H264).fed_by(plan()))
    codecs = viewer_codecs(offer, viewer, sends=[MediaKind.VIDEO])
    assert codecs.keys() == {MediaKind.VIDEO}
    assert {"H264", "VP8", "AV1"} <= codecs[MediaKind.VIDEO]
