"""Plans: the order of their tracks, and the format of a publisher's source."""

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.sdp.media_plan import SourceFormat, ViewerPlan
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from tests.media.rtc import offers


def test_tracks_are_in_the_order_of_their_sections() -> None:
    def kinds(offer: str) -> list[MediaKind]:
        plan = negotiate_publisher(parse_description(offer), video_codecs=(Codec.H264,))
        return [track.kind for track in plan.tracks]

    assert kinds(offers.CHROMIUM) == [MediaKind.AUDIO, MediaKind.VIDEO]
    assert kinds(offers.GSTREAMER) == [MediaKind.VIDEO, MediaKind.AUDIO]


def test_the_format_of_a_source_is_that_of_its_publishers_answer() -> None:
    plan = negotiate_publisher(parse_description(offers.OBS), video_codecs=(Codec.H264,))
    assert SourceFormat.expected(Codec.H264).fed_by(plan) == SourceFormat(
        video_codec=Codec.H264,
        video_parameters="profile-level-id=640c1f;packetization-mode=1;level-asymmetry-allowed=1",
        audio_codec=Codec.OPUS,
        audio_parameters="minptime=10;maxaveragebitrate=96000;stereo=1;useinbandfec=1",
        audio_is_stereo=True,
    )


def test_video_is_sent_again_unchanged_to_a_viewer_without_rtx() -> None:
    def viewer(offer: str) -> ViewerPlan:
        return negotiate_viewer(parse_description(offer), source=SourceFormat.expected(Codec.H264))

    assert not viewer(offers.CHROMIUM_VIEWER).resends_unchanged
    assert viewer(offers.CHROMIUM_VIEWER.replace(" rtx/90000", " other/90000")).resends_unchanged
