"""SDP answers: their lines, and how our own parser and aiortc read them."""

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.sdp.header_extensions import TRANSPORT_SEQUENCE_URI
from stagebook.media.rtc.sdp.media_plan import SourceFormat
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_answer import SentTrack, write_publisher_answer, write_viewer_answer
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.session_description import SessionDescription
from tests.media.rtc import offers

SENT = {"0": SentTrack(ssrc=11), "1": SentTrack(ssrc=21, rtx_ssrc=22)}


def publisher_answer(offer: str) -> str:
    plan = negotiate_publisher(parse_description(offer), video_codecs=(Codec.H264, Codec.VP8))
    return write_publisher_answer(plan, local=offers.LOCAL)


def viewer_answer(offer: str) -> str:
    plan = negotiate_publisher(parse_description(offers.CHROMIUM), video_codecs=(Codec.H264,))
    viewer_plan = negotiate_viewer(parse_description(offer), source=SourceFormat.expected(Codec.H264).fed_by(plan))
    return write_viewer_answer(viewer_plan, local=offers.LOCAL, sent=SENT, stream_id="source", cname="stagebook")


def parse(answer: str) -> SessionDescription:
    return parse_description(answer)


def section(answer: str, kind: str) -> list[str]:
    """Return the lines of the first section of a kind."""
    part = next(part for part in answer.split("\r\nm=")[1:] if part.startswith(kind))
    return ["m=" + part.split("\r\n")[0], *part.split("\r\n")[1:]]


def test_the_session_part_declares_ice_lite_and_the_bundle_group() -> None:
    head = publisher_answer(offers.CHROMIUM).split("\r\nm=")[0].split("\r\n")
    assert head[:4] == ["v=0", "o=- 4711 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    assert "a=ice-lite" in head
    assert "a=group:BUNDLE 0 1" in head


def test_every_accepted_section_has_the_whole_transport() -> None:
    answer = publisher_answer(offers.CHROMIUM)
    for kind in ("audio", "video"):
        lines = section(answer, kind)
        assert "a=ice-ufrag:ourfrag" in lines
        assert "a=ice-pwd:our-password-of-24-bytes" in lines
        assert f"a=fingerprint:sha-256 {offers.SHA256}" in lines
        assert "a=setup:passive" in lines
        assert "a=rtcp-mux" in lines
        assert "a=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host" in lines
        assert "a=candidate:2 1 udp 2130706175 2001:db8::1 40001 typ host" in lines
        assert lines.index("a=end-of-candidates") > lines.index("a=mid:" + ("0" if kind == "audio" else "1"))


def test_an_idle_section_is_inactive_and_belongs_to_the_bundle() -> None:
    answer = publisher_answer(offers.CHROMIUM.replace("a=sendonly", "a=inactive", 1))
    assert "a=group:BUNDLE 0 1" in answer.split("\r\n")
    lines = section(answer, "audio")
    assert lines[0] == "m=audio 9 UDP/TLS/RTP/SAVPF 111"
    assert "a=inactive" in lines
    assert "a=ice-ufrag:ourfrag" in lines


def test_a_publishers_video_section_has_h264_first_and_then_vp8_each_with_its_rtx() -> None:
    lines = section(publisher_answer(offers.CHROMIUM), "video")
    assert lines[0] == "m=video 9 UDP/TLS/RTP/SAVPF 109 114 96 97"
    assert "a=recvonly" in lines
    assert [line for line in lines if line.startswith(("a=rtpmap", "a=fmtp", "a=rtcp-fb", "a=extmap"))] == [
        "a=rtpmap:109 H264/90000",
        "a=fmtp:109 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "a=rtcp-fb:109 nack",
        "a=rtcp-fb:109 nack pli",
        "a=rtcp-fb:109 ccm fir",
        "a=rtcp-fb:109 goog-remb",
        "a=rtcp-fb:109 transport-cc",
        "a=rtpmap:114 rtx/90000",
        "a=fmtp:114 apt=109",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:96 ccm fir",
        "a=rtcp-fb:96 goog-remb",
        "a=rtcp-fb:96 transport-cc",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        f"a=extmap:3 {TRANSPORT_SEQUENCE_URI}",
    ]


@pytest.mark.parametrize("missing", ["transport-wide-cc-extensions-01", "transport-cc"])
def test_publishers_without_a_part_of_transport_wide_feedback_get_remb_alone(missing: str) -> None:
    offer = "\r\n".join(line for line in offers.CHROMIUM.splitlines() if not line.endswith(missing)) + "\r\n"
    answer = publisher_answer(offer)
    assert "transport" not in answer
    assert "goog-remb" in answer


def test_audio_of_a_publisher_has_transport_wide_feedback_and_red_which_comes_first() -> None:
    audio = section(publisher_answer(offers.CHROMIUM), "audio")
    assert audio[0] == "m=audio 9 UDP/TLS/RTP/SAVPF 63 111"
    assert {"a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111", "a=rtcp-fb:111 transport-cc"} <= set(audio)
    assert f"a=extmap:3 {TRANSPORT_SEQUENCE_URI}" in audio
    assert "useinbandfec=1" in "".join(audio)


def test_audio_is_requested_again_from_publishers_that_offer_nack_for_it() -> None:
    offer = offers.CHROMIUM.replace("a=fmtp:111 ", "a=rtcp-fb:111 nack\r\na=fmtp:111 ")
    audio = section(publisher_answer(offer), "audio")
    assert "a=rtcp-fb:111 nack" in audio
    # The same packet is sent again, so it can have no new transport-wide number.
    assert "transport" not in "".join(audio)


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_transport_wide_feedback_of_viewers_takes_the_place_of_remb(kind: str) -> None:
    lines = section(viewer_answer(offers.CHROMIUM_VIEWER), kind)
    extensions = [line for line in lines if line.startswith("a=extmap:")]
    assert extensions == [f"a=extmap:3 {TRANSPORT_SEQUENCE_URI}"]
    assert [line.split(" ", 1)[1] for line in lines if line.startswith("a=rtcp-fb")][-1] == "transport-cc"
    assert "goog-remb" not in "".join(lines)


@pytest.mark.parametrize("missing", ["transport-wide-cc-extensions-01", "transport-cc"])
def test_viewers_without_a_part_of_transport_wide_feedback_get_remb(missing: str) -> None:
    offer = "\r\n".join(line for line in offers.CHROMIUM_VIEWER.splitlines() if not line.endswith(missing)) + "\r\n"
    answer = viewer_answer(offer)
    assert "transport" not in answer
    assert "goog-remb" in answer


def test_a_viewer_has_red_for_its_opus_payload_type() -> None:
    audio = section(viewer_answer(offers.CHROMIUM_VIEWER), "audio")
    assert audio[0] == "m=audio 9 UDP/TLS/RTP/SAVPF 63 111"
    assert {"a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111"} <= set(audio)
    assert " red" not in viewer_answer(offers.CHROMIUM_VIEWER.replace("63 111/111", "63 110/110"))


def test_audio_is_retransmitted_to_viewers_that_offer_nack_for_it() -> None:
    assert "a=rtcp-fb:111 nack" not in section(viewer_answer(offers.CHROMIUM_VIEWER), "audio")
    offer = offers.CHROMIUM_VIEWER.replace("a=fmtp:111 ", "a=rtcp-fb:111 nack\r\na=fmtp:111 ")
    # With RED it is not: redundancy needs no round trip.
    assert "a=rtcp-fb:111 nack" not in section(viewer_answer(offer), "audio")
    audio = section(viewer_answer(offer.replace("63 111/111", "63 110/110")), "audio")
    assert "a=rtcp-fb:111 nack" in audio
    # The same packet is sent again, so it can have no new transport-wide number.
    assert "transport" not in "".join(audio)


def test_reduced_size_rtcp_is_accepted_only_if_offered() -> None:
    assert "a=rtcp-rsize" in section(publisher_answer(offers.CHROMIUM), "video")
    assert "a=rtcp-rsize" not in section(publisher_answer(offers.OBS), "video")


def test_simulcast_is_accepted_as_offered() -> None:
    lines = section(publisher_answer(offers.CHROMIUM_SIMULCAST), "video")
    assert [line for line in lines if line.startswith(("a=rid", "a=simulcast"))] == [
        "a=rid:q recv",
        "a=rid:h recv",
        "a=rid:f recv",
        "a=simulcast:recv q;h;f",
    ]
    assert "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id" in lines


def test_a_rejected_section_keeps_its_place_with_port_0() -> None:
    answer = publisher_answer(offers.CHROMIUM_WITH_DATA)
    lines = section(answer, "application")
    assert lines[0] == "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"
    assert "a=mid:2" in lines
    assert "a=group:BUNDLE 0 1\r\n" in answer
    assert [part.kind for part in parse(answer).sections] == ["audio", "video", "application"]


def test_an_answer_has_no_bundle_group_if_the_offer_has_none() -> None:
    head = offers.CHROMIUM_HEAD.replace("a=group:BUNDLE 0 1", "")
    assert "a=group" not in publisher_answer(offers.lines(head, offers.CHROMIUM_VIDEO))


def test_a_viewers_answer_has_the_stream_the_ssrcs_and_the_cname() -> None:
    answer = viewer_answer(offers.CHROMIUM_VIEWER)
    video = section(answer, "video")
    assert "a=sendonly" in video
    assert "a=msid:source source-video" in video
    assert video[-4:-1] == ["a=ssrc-group:FID 21 22", "a=ssrc:21 cname:stagebook", "a=ssrc:22 cname:stagebook"]
    audio = section(answer, "audio")
    assert "a=msid:source source-audio" in audio
    assert audio[-1] == "a=ssrc:11 cname:stagebook"
    assert "a=rtpmap:111 opus/48000/2" in audio


def test_our_parser_reads_our_answers() -> None:
    for answer in (publisher_answer(offers.CHROMIUM_SIMULCAST), viewer_answer(offers.FIREFOX_VIEWER)):
        for part in parse(answer).sections:
            assert part.transport.ufrag == offers.LOCAL.ufrag
            assert part.transport.fingerprints == (offers.LOCAL.fingerprint,)


async def test_aiortc_accepts_the_answer_to_its_publisher_offer() -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        for track in (AudioStreamTrack(), VideoStreamTrack()):
            connection.addTransceiver(track, direction="sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        answer = publisher_answer(connection.localDescription.sdp)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        assert {transceiver.currentDirection for transceiver in connection.getTransceivers()} == {"sendonly"}
    finally:
        await connection.close()


async def test_aiortc_accepts_the_answer_to_its_viewer_offer() -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        for kind in ("audio", "video"):
            connection.addTransceiver(kind, direction="recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        answer = viewer_answer(connection.localDescription.sdp)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        assert {transceiver.currentDirection for transceiver in connection.getTransceivers()} == {"recvonly"}
    finally:
        await connection.close()
