"""Plans for the offers of publishers and viewers, and the refusal of offers that cannot be served."""

import msgspec
import pytest

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sdp.codec_choice import h264_profile
from stagebook.media.rtc.sdp.header_extensions import HeaderExtensions
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, SourceFormat, TrackPlan, ViewerPlan
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from tests.media.rtc import offers

H264_SOURCE = SourceFormat(
    video_codec=Codec.H264,
    video_parameters="packetization-mode=1;profile-level-id=42e01f",
    audio_codec=Codec.OPUS,
    audio_parameters="",
)
VP8_SOURCE = SourceFormat(video_codec=Codec.VP8, video_parameters="", audio_codec=None, audio_parameters="")
NO_SOURCE = SourceFormat.expected(Codec.H264)
VIDEO_HEAD = offers.CHROMIUM_HEAD.replace("BUNDLE 0 1", "BUNDLE 1")


def publisher(offer: str, *codecs: Codec) -> PublisherPlan:
    return negotiate_publisher(parse_description(offer), video_codecs=codecs or (Codec.H264, Codec.VP8))


def published_video(offer: str, *codecs: Codec) -> TrackPlan:
    video = publisher(offer, *codecs).video
    assert video is not None
    return video


def viewer(offer: str, source: SourceFormat = H264_SOURCE) -> ViewerPlan:
    return negotiate_viewer(parse_description(offer), source=source)


def without(offer: str, *parts: str) -> str:
    """Return the offer without the lines that contain one of the parts."""
    kept = [line for line in offer.splitlines() if not any(part in line for part in parts)]
    return "\r\n".join(kept) + "\r\n"


def without_video(offer: str) -> str:
    """Return the offer with its video section inactive."""
    audio, video = offer.split("m=video")
    video = video.replace("a=sendonly", "a=inactive").replace("a=recvonly", "a=inactive")
    return f"{audio}m=video{video}"


@pytest.mark.parametrize("offer", offers.PUBLISHERS.values(), ids=offers.PUBLISHERS.keys())
def test_every_known_publisher_gets_h264_and_opus(offer: str) -> None:
    plan = publisher(offer)
    assert plan.video is not None
    assert plan.video.codec is Codec.H264
    assert plan.audio is not None
    assert plan.audio.codec is Codec.OPUS
    assert plan.remote.ufrag == offers.UFRAG
    assert plan.bundled


async def test_aiortc_can_publish_and_view() -> None:
    plan = publisher(await offers.aiortc_publisher())
    assert plan.video is not None
    assert plan.video.rtx_payload_type is not None
    viewer_plan = viewer(await offers.aiortc_viewer(), NO_SOURCE.fed_by(plan))
    assert [track.kind for track in viewer_plan.tracks] == [MediaKind.AUDIO, MediaKind.VIDEO]


def test_a_track_has_what_identifies_its_packets() -> None:
    video = published_video(offers.CHROMIUM)
    assert (video.section, video.mid, video.payload_type, video.rtx_payload_type) == (1, "1", 109, 114)
    assert video.clock_rate == 90_000
    assert video.ssrcs == (2001,)
    assert video.rtx_of == {2002: 2001}
    assert video.feedback == ("nack", "nack pli", "ccm fir", "goog-remb", "transport-cc")
    assert video.extensions == HeaderExtensions(mid=4, transport_sequence=3)
    assert video.rtcp_reduced_size


def test_simulcast_by_rid_keeps_the_layers_and_their_extensions() -> None:
    video = published_video(offers.CHROMIUM_SIMULCAST)
    assert video.rids == ("q", "h", "f")
    assert video.extensions == HeaderExtensions(mid=4, rid=10, repaired_rid=11, transport_sequence=3)
    assert video.ssrcs == ()


def test_rids_without_their_header_extension_are_not_accepted() -> None:
    assert published_video(without(offers.CHROMIUM_SIMULCAST, "sdes:rtp-stream-id")).rids == ()


def test_legacy_simulcast_lists_its_layers_lowest_first() -> None:
    video = published_video(offers.CHROMIUM_LEGACY)
    assert video.ssrcs == (2003, 2001, 2005)
    assert video.rtx_of == {2002: 2001, 2004: 2003, 2006: 2005}


def test_forward_error_correction_ssrcs_are_not_media_ssrcs() -> None:
    offer = offers.CHROMIUM + "a=ssrc:2009 cname:x\r\na=ssrc-group:FEC-FR 2001 2009\r\n"
    assert published_video(offer).ssrcs == (2001,)


def test_header_extension_ids_above_14_are_not_accepted() -> None:
    assert published_video(offers.CHROMIUM.replace("extmap:4 ", "extmap:15 ")).extensions.mid is None


def test_vp8_is_chosen_if_h264_is_not_offered_or_not_preferred() -> None:
    assert published_video(without(offers.CHROMIUM, " H264/")).codec is Codec.VP8
    assert published_video(offers.CHROMIUM, Codec.VP8, Codec.H264).codec is Codec.VP8


def test_a_publisher_without_audio_is_accepted() -> None:
    plan = publisher(offers.lines(VIDEO_HEAD, offers.CHROMIUM_VIDEO))
    assert plan.audio is None
    assert [track.kind for track in plan.tracks] == [MediaKind.VIDEO]


@pytest.mark.parametrize(
    ("video", "idle", "rejected"),
    [
        ("", 0, 0),
        (offers.CHROMIUM_VIDEO.replace("a=sendonly", "a=inactive"), 1, 0),
        (offers.CHROMIUM_VIDEO.replace("a=sendonly", "a=recvonly"), 1, 0),
        (offers.CHROMIUM_VIDEO.replace("m=video 9", "m=video 0"), 0, 1),
        (without(offers.CHROMIUM_VIDEO, " H264/", " VP8/").replace("a=sendonly", "a=inactive"), 0, 1),
        (offers.CHROMIUM_VIDEO.replace("a=sendonly", "a=inactive").replace("mid:1", "mid:7"), 0, 1),
    ],
    ids=["no section", "inactive", "recvonly", "disabled", "inactive and unsupported", "inactive and not bundled"],
)
def test_a_publisher_without_video_is_accepted(video: str, idle: int, rejected: int) -> None:
    plan = publisher(offers.lines(offers.CHROMIUM_HEAD, offers.CHROMIUM_AUDIO, video))
    assert plan.video is None
    assert [track.kind for track in plan.tracks] == [MediaKind.AUDIO]
    assert [track.kind for track in plan.idle] == [MediaKind.VIDEO] * idle
    assert [section.kind for section in plan.rejected] == ["video"] * rejected
    assert plan.inbound.payload_types == {111, 63}
    assert plan.bundled


def test_a_viewer_s_section_that_receives_nothing_is_idle() -> None:
    plan = viewer(without_video(offers.CHROMIUM_VIEWER))
    assert [track.kind for track in plan.tracks] == [MediaKind.AUDIO]
    assert [(track.kind, track.ssrcs) for track in plan.idle] == [(MediaKind.VIDEO, ())]
    assert plan.rejected == ()


def test_a_viewer_of_a_source_without_video_negotiates_the_video_of_a_later_publisher() -> None:
    source = NO_SOURCE.fed_by(publisher(without_video(offers.CHROMIUM)))
    assert not source.has_video
    video = viewer(offers.CHROMIUM_VIEWER, source).video
    assert video is not None
    assert (video.codec, h264_profile(video.parameters)) == (Codec.H264, (66, True))


def test_a_viewer_that_cannot_take_the_video_of_a_later_publisher_gets_the_audio() -> None:
    source = SourceFormat.expected(Codec.VP8).fed_by(publisher(without_video(offers.CHROMIUM)))
    offer = without(offers.CHROMIUM_VIEWER, " VP8/")
    plan = viewer(offer, source)
    assert [track.kind for track in plan.tracks] == [MediaKind.AUDIO]
    with pytest.raises(MediaRefusedError) as refused:
        viewer(offer, VP8_SOURCE)
    assert refused.value.reason is RefusalReason.VIDEO_CODEC


def test_a_sendrecv_publisher_is_accepted() -> None:
    assert publisher(offers.CHROMIUM.replace("a=sendonly", "a=sendrecv")).audio is not None


def test_a_data_channel_is_rejected_in_place() -> None:
    plan = publisher(offers.CHROMIUM_WITH_DATA)
    assert [(rejected.section, rejected.kind, rejected.mid) for rejected in plan.rejected] == [(2, "application", "2")]


@pytest.mark.parametrize(("kind", "section"), [("video", offers.CHROMIUM_VIDEO), ("audio", offers.CHROMIUM_AUDIO)])
def test_a_publisher_that_sends_two_sections_of_a_kind_is_refused_whole(kind: str, section: str) -> None:
    second = section.replace("a=mid:0", "a=mid:7").replace("a=mid:1", "a=mid:7")
    with pytest.raises(MediaRefusedError, match=f"more than one {kind} section") as refused:
        publisher(offers.CHROMIUM + offers.lines(second))
    assert refused.value.reason is RefusalReason.MALFORMED
    # Not one that it does not send in, or has disabled.
    for unused in (second.replace("sendonly", "inactive"), second.replace(f"m={kind} 9", f"m={kind} 0")):
        plan = publisher(offers.CHROMIUM + offers.lines(unused))
        assert [(rejected.kind, rejected.mid) for rejected in plan.rejected] == [(kind, "7")]


def test_of_a_viewers_sections_the_first_usable_one_of_a_kind_is_accepted() -> None:
    unusable = without(offers.lines(offers.CHROMIUM_VIDEO), " H264/", " VP8/").replace("a=mid:1", "a=mid:7")
    head = offers.CHROMIUM_HEAD.replace("BUNDLE 0 1", "BUNDLE 7 1")
    plan = viewer(offers.lines(head, unusable, offers.CHROMIUM_VIDEO).replace("sendonly", "recvonly"))
    assert plan.video is not None
    assert plan.video.section == 1
    assert [rejected.section for rejected in plan.rejected] == [0]


@pytest.mark.parametrize(
    "offer",
    [
        without(offers.CHROMIUM, " H264/", " VP8/"),
        offers.lines(VIDEO_HEAD, without(offers.CHROMIUM_VIDEO, " H264/", " VP8/")),
        offers.CHROMIUM_VIEWER,
        offers.CHROMIUM.replace("m=video 9 UDP/TLS/RTP/SAVPF", "m=video 9 RTP/AVP"),
    ],
    ids=["unsupported codec", "unsupported codec alone", "nothing sent", "no SRTP"],
)
def test_a_publisher_of_video_that_is_not_supported_is_refused(offer: str) -> None:
    with pytest.raises(MediaRefusedError, match="H264 or VP8") as refused:
        publisher(offer)
    assert refused.value.reason is RefusalReason.VIDEO_CODEC


def test_a_publisher_with_audio_other_than_opus_is_refused() -> None:
    with pytest.raises(MediaRefusedError, match="Opus") as refused:
        publisher(without(offers.CHROMIUM, "opus/48000"))
    assert refused.value.reason is RefusalReason.AUDIO_CODEC


@pytest.mark.parametrize(
    ("offer", "message"),
    [
        (without(offers.CHROMIUM, "ice-ufrag"), "ice-ufrag"),
        (without(offers.CHROMIUM, "ice-pwd"), "ice-pwd"),
        (without(offers.CHROMIUM, "a=fingerprint"), "fingerprint"),
        (
            offers.CHROMIUM.replace(f"sha-256 {offers.SHA256}", f"sha-224 {offers.SHA256[: 28 * 3 - 1]}"),
            "SHA-256 or stronger",
        ),
        (offers.CHROMIUM.replace("setup:actpass", "setup:holdconn"), "setup"),
        (without(offers.CHROMIUM, "a=rtcp-mux"), "rtcp-mux"),
        (without(offers.CHROMIUM, "a=mid:"), "a=mid"),
        (without(offers.CHROMIUM, "a=group"), "BUNDLE"),
        (offers.CHROMIUM.replace("BUNDLE 0 1", "BUNDLE 0"), "BUNDLE"),
    ],
)
def test_an_offer_that_cannot_be_connected_is_malformed(offer: str, message: str) -> None:
    with pytest.raises(MediaRefusedError, match=message) as refused:
        publisher(offer)
    assert refused.value.reason is RefusalReason.MALFORMED


@pytest.mark.parametrize("setup", ["a=setup:active", "a=unused:1"])
def test_a_peer_with_the_active_dtls_role_is_accepted(setup: str) -> None:
    remote = publisher(offers.CHROMIUM.replace("a=setup:actpass", setup)).remote
    assert (remote.pwd, remote.is_dtls_server) == (offers.PWD, False)


def test_a_peer_with_the_passive_dtls_role_is_accepted() -> None:
    assert publisher(offers.CHROMIUM.replace("setup:actpass", "setup:passive")).remote.is_dtls_server


def test_the_transport_is_that_of_the_first_section_in_the_bundle_group() -> None:
    video = offers.CHROMIUM_VIDEO.replace(f"ice-ufrag:{offers.UFRAG}", "ice-ufrag:video")
    assert publisher(offers.lines(offers.CHROMIUM_HEAD, offers.CHROMIUM_AUDIO, video)).remote.ufrag == offers.UFRAG
    reversed_head = offers.CHROMIUM_HEAD.replace("BUNDLE 0 1", "BUNDLE 1 0")
    assert publisher(offers.lines(reversed_head, offers.CHROMIUM_AUDIO, video)).remote.ufrag == "video"


def test_a_single_section_needs_no_bundle_group() -> None:
    plan = publisher(without(offers.lines(offers.CHROMIUM_HEAD, offers.CHROMIUM_VIDEO), "a=group"))
    assert not plan.bundled


@pytest.mark.parametrize("offer", [offers.CHROMIUM_VIEWER, offers.FIREFOX_VIEWER], ids=["chromium", "firefox"])
def test_known_viewers_get_h264_and_opus(offer: str) -> None:
    plan = viewer(offer)
    assert plan.video is not None
    assert plan.audio is not None
    assert (plan.video.codec, plan.audio.codec) == (Codec.H264, Codec.OPUS)
    assert "packetization-mode=1" in plan.video.parameters
    assert "42e01f" in plan.video.parameters


def test_a_viewers_plan_has_no_attributes_of_a_sender() -> None:
    plan = viewer(offers.CHROMIUM_VIEWER)
    for track in plan.tracks:
        assert track.ssrcs == ()
        assert track.rtx_of == {}
        assert track.extensions == HeaderExtensions(transport_sequence=3)


def test_a_viewer_may_receive_only_one_kind() -> None:
    head = offers.CHROMIUM_HEAD
    audio = offers.lines(head.replace("0 1", "0"), offers.CHROMIUM_AUDIO).replace("sendonly", "recvonly")
    video = offers.lines(head.replace("0 1", "1"), offers.CHROMIUM_VIDEO).replace("sendonly", "recvonly")
    assert viewer(audio).video is None
    assert viewer(video).audio is None


def test_a_viewer_of_a_source_without_audio_gets_an_audio_track() -> None:
    plan = viewer(offers.CHROMIUM_VIEWER, VP8_SOURCE)
    assert plan.audio is not None
    assert plan.video is not None
    assert plan.video.codec is Codec.VP8


def test_a_viewer_without_the_video_codec_of_the_source_is_refused() -> None:
    with pytest.raises(MediaRefusedError, match="H264") as refused:
        viewer(without(offers.CHROMIUM_VIEWER, " H264/"))
    assert refused.value.reason is RefusalReason.VIDEO_CODEC


def test_a_viewer_without_opus_is_refused_only_if_the_source_has_audio() -> None:
    offer = without(offers.CHROMIUM_VIEWER, " opus/")
    with pytest.raises(MediaRefusedError, match="Opus") as refused:
        viewer(offer)
    assert refused.value.reason is RefusalReason.AUDIO_CODEC
    assert viewer(offer, VP8_SOURCE).audio is None


def test_a_viewer_offer_that_receives_nothing_is_malformed() -> None:
    with pytest.raises(MediaRefusedError, match="receives") as refused:
        viewer(offers.CHROMIUM)
    assert refused.value.reason is RefusalReason.MALFORMED


@pytest.mark.parametrize(
    ("parameters", "answered", "is_stereo"),
    [
        ("minptime=10", "minptime=10", False),
        ("minptime=10;stereo=1", "minptime=10;stereo=1", True),
        ("stereo=1;sprop-stereo=1", "stereo=1", True),
        ("sprop-stereo=1;sprop-maxcapturerate=48000", "stereo=1", True),
        ("stereo=0;sprop-stereo=1", "stereo=0", True),
        ("stereo=0;sprop-stereo=0", "stereo=0", False),
    ],
)
def test_a_source_is_stereo_if_its_publisher_says_so(*, parameters: str, answered: str, is_stereo: bool) -> None:
    plan = publisher(offers.CHROMIUM.replace("minptime=10;useinbandfec=1", parameters))
    assert plan.audio is not None
    assert plan.audio.parameters == answered
    assert NO_SOURCE.fed_by(plan).audio_is_stereo is is_stereo


@pytest.mark.parametrize("is_stereo", [True, False])
def test_a_viewer_of_a_stereo_source_has_that_in_its_answer(*, is_stereo: bool) -> None:
    source = msgspec.structs.replace(H264_SOURCE, audio_is_stereo=is_stereo)
    for offer in (offers.CHROMIUM_VIEWER, without(offers.CHROMIUM_VIEWER, "fmtp:111")):
        audio = viewer(offer, source).audio
        assert audio is not None
        assert ("sprop-stereo=1" in audio.parameters.split(";")) is is_stereo


def test_a_publisher_gets_one_payload_type_of_each_allowed_codec_that_it_offers() -> None:
    video = published_video(offers.CHROMIUM)
    assert video.payload_types == (109, 114, 96, 97)
    (vp8,) = video.alternatives
    assert (vp8.codec, vp8.ssrcs, vp8.alternatives) == (Codec.VP8, video.ssrcs, ())
    assert publisher(offers.CHROMIUM).inbound.payload_types == {111, 63, 109, 114, 96, 97}
    assert published_video(offers.OBS).alternatives == ()
    assert published_video(offers.CHROMIUM, Codec.H264).alternatives == ()


def test_the_codec_of_the_source_that_a_publisher_takes_over_comes_first() -> None:
    description = parse_description(offers.CHROMIUM)
    plan = negotiate_publisher(description, video_codecs=(Codec.H264, Codec.VP8), current=VP8_SOURCE)
    assert plan.video is not None
    assert plan.video.payload_types == (96, 97, 109, 114)


def test_a_plan_with_another_codec_keeps_the_first_one_as_an_alternative() -> None:
    video = published_video(offers.CHROMIUM)
    changed = video.with_codec(video.alternatives[0])
    assert changed.payload_types == (96, 97, 109, 114)
    assert changed.with_codec(changed.alternatives[0]) == video


def test_a_viewer_gets_the_codec_of_the_source_alone() -> None:
    video = viewer(offers.CHROMIUM_VIEWER, NO_SOURCE.fed_by(publisher(offers.CHROMIUM))).video
    assert video is not None
    assert video.alternatives == ()
