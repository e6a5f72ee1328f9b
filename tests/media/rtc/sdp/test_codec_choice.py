"""Which payload type of a section is answered: codec order, H.264 profiles and packetization modes, RTX, Opus."""

import pytest
from aiortc import RTCPeerConnection

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.sdp.codec_choice import (
    choose_opus,
    choose_publisher_video,
    choose_viewer_video,
    h264_profile,
    packetization_mode,
    parse_fmtp,
)
from stagebook.media.rtc.sdp.media_plan import SourceFormat
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.session_description import MediaSection
from tests.media.rtc import offers

BOTH = (Codec.H264, Codec.VP8)
BASELINE, CONSTRAINED, MAIN, HIGH = "42001f", "42e01f", "4d001f", "64001f"


def section(*payloads: tuple[int, str, str], feedback: str = "nack") -> MediaSection:
    """A video section of (payload type, rtpmap, fmtp)."""
    numbers = " ".join(str(number) for number, _, _ in payloads)
    lines = ["v=0", f"m=video 9 UDP/TLS/RTP/SAVPF {numbers}", f"a=rtcp-fb:* {feedback}"]
    for number, codec, parameters in payloads:
        lines += [f"a=rtpmap:{number} {codec}", f"a=fmtp:{number} {parameters}"]
    return parse_description("\n".join(lines)).sections[0]


def h264(number: int, profile: str, mode: int = 1) -> tuple[int, str, str]:
    return number, "H264/90000", f"packetization-mode={mode};profile-level-id={profile}"


def source(codec: Codec = Codec.H264, parameters: str = "") -> SourceFormat:
    return SourceFormat(video_codec=codec, video_parameters=parameters, audio_codec=Codec.OPUS, audio_parameters="")


def published(*payloads: tuple[int, str, str], current: SourceFormat | None = None) -> int | None:
    choice = choose_publisher_video(section(*payloads), BOTH, current)
    return choice.payload.payload_type if choice else None


def played(by: SourceFormat, *payloads: tuple[int, str, str]) -> int | None:
    choice = choose_viewer_video(section(*payloads), by)
    return choice.payload.payload_type if choice else None


VP8 = (120, "VP8/90000", "max-fs=12288")


def test_the_preferred_codec_comes_first_whatever_the_offers_order() -> None:
    offered = section(VP8, h264(96, CONSTRAINED))
    first = choose_publisher_video(offered, (Codec.H264, Codec.VP8), None)
    second = choose_publisher_video(offered, (Codec.VP8, Codec.H264), None)
    assert first is not None
    assert second is not None
    assert (first.codec, second.codec) == (Codec.H264, Codec.VP8)


def test_a_codec_that_is_not_ours_is_not_chosen() -> None:
    assert published((45, "AV1/90000", "profile=0")) is None
    assert choose_publisher_video(section(VP8), (Codec.H264,), None) is None


def test_the_codec_that_a_source_has_comes_first_when_it_is_taken_over() -> None:
    assert published(h264(96, CONSTRAINED), VP8, current=source(Codec.VP8)) == 120


def test_the_profile_that_a_source_has_comes_first_when_it_is_taken_over() -> None:
    current = source(parameters="packetization-mode=1;profile-level-id=640032")
    assert published(h264(96, CONSTRAINED), h264(97, HIGH), current=current) == 97


def test_a_publisher_sends_what_most_viewers_can_play() -> None:
    assert published(h264(96, HIGH), h264(97, MAIN), h264(98, BASELINE), h264(99, CONSTRAINED)) == 99
    assert published(h264(96, HIGH), h264(97, MAIN), h264(98, BASELINE)) == 98
    assert published(h264(96, HIGH), h264(97, MAIN)) == 97


def test_packetization_mode_1_comes_before_a_better_profile_and_mode_0_is_better_than_nothing() -> None:
    assert published(h264(96, CONSTRAINED, 0), h264(97, HIGH, 1)) == 97
    assert published(h264(96, CONSTRAINED, 0)) == 96


@pytest.mark.parametrize("mode", [2, 7])
def test_interleaved_h264_is_not_forwarded(mode: int) -> None:
    assert published(h264(96, CONSTRAINED, mode)) is None


def test_a_viewer_is_given_the_exact_profile_then_one_that_includes_it_then_any() -> None:
    constrained = source(parameters=f"profile-level-id={CONSTRAINED}")
    assert played(constrained, h264(96, HIGH), h264(97, CONSTRAINED)) == 97
    assert played(constrained, h264(96, HIGH), h264(97, BASELINE)) == 96
    main = source(parameters=f"profile-level-id={MAIN}")
    assert played(main, h264(96, CONSTRAINED), h264(97, HIGH)) == 97
    high = source(parameters=f"profile-level-id={HIGH}")
    assert played(high, h264(96, CONSTRAINED)) == 96


def test_a_viewer_must_take_packetization_mode_1() -> None:
    assert played(source(), h264(96, CONSTRAINED, 0)) is None


def test_a_viewer_must_take_the_sources_codec() -> None:
    assert played(source(Codec.VP8), h264(96, CONSTRAINED)) is None
    assert played(source(Codec.VP8), VP8) == 120


@pytest.mark.parametrize("number", [64, 72, 95])
def test_payload_types_that_look_like_rtcp_are_not_used(number: int) -> None:
    assert published(h264(number, CONSTRAINED)) is None


def test_rtx_belongs_to_the_payload_type_that_its_apt_names() -> None:
    offered = section(h264(96, CONSTRAINED), (97, "rtx/90000", "apt=98"), (99, "RTX/90000", "rtx-time=3000; apt=96"))
    choice = choose_publisher_video(offered, BOTH, None)
    assert choice is not None
    assert choice.rtx_payload_type == 99


def test_without_nack_there_is_no_rtx() -> None:
    offered = section(h264(96, CONSTRAINED), (97, "rtx/90000", "apt=96"), feedback="ccm fir")
    choice = choose_publisher_video(offered, BOTH, None)
    assert choice is not None
    assert choice.rtx_payload_type is None


def test_what_only_the_offerer_says_is_not_answered() -> None:
    offered = section(
        (96, "H264/90000", "packetization-mode=1; sprop-parameter-sets=Z0I=,aM4= ;profile-level-id=42e01f;")
    )
    choice = choose_publisher_video(offered, BOTH, None)
    assert choice is not None
    assert choice.parameters == "packetization-mode=1;profile-level-id=42e01f"


@pytest.mark.parametrize(
    ("parameters", "profile"),
    [
        ("profile-level-id=42E01F", (66, True)),
        ("profile-level-id=42001f", (66, False)),
        ("profile-level-id=4d801f", (66, True)),
        ("profile-level-id=58801f", (66, True)),
        ("profile-level-id=4d001f", (77, False)),
        ("profile-level-id=640c1f", (100, False)),
        ("", (66, False)),
        ("profile-level-id=xyz", (66, False)),
        ("profile-level-id=42", (66, False)),
    ],
)
def test_profiles_are_read_as_rfc_6184_table_5_names_them(parameters: str, profile: tuple[int, bool]) -> None:
    assert h264_profile(parameters) == profile


def test_format_parameters_are_read_leniently() -> None:
    assert parse_fmtp(" A=1 ;b = 2;;flag;a=3") == {"a": "1", "b": "2"}
    assert packetization_mode("") == 0
    assert packetization_mode("packetization-mode=one") == -1


def test_opus_is_48_khz_with_two_channels() -> None:
    def opus(codec: str) -> bool:
        return choose_opus(section((111, codec, "minptime=10"))) is not None

    assert opus("opus/48000/2")
    assert opus("OPUS/48000/2")
    assert not opus("opus/48000")
    assert not opus("opus/16000/2")
    assert not opus("PCMU/8000")


@pytest.mark.parametrize(
    ("profile", "number"), [(BASELINE, 103), (CONSTRAINED, 109), ("4d401f", 39), (HIGH, 103), ("640c28", 103)]
)
def test_chromium_gets_the_profile_of_an_encoder_or_one_that_it_plays_as_well(profile: str, number: int) -> None:
    offered = parse_description(offers.CHROMIUM_VIEWER).sections[1]
    choice = choose_viewer_video(offered, source(parameters=f"packetization-mode=1;profile-level-id={profile}"))
    assert choice is not None
    assert choice.payload.payload_type == number
    assert packetization_mode(choice.parameters) == 1
    assert choice.rtx_payload_type is not None


@pytest.mark.parametrize("profile", [BASELINE, CONSTRAINED, MAIN, HIGH])
async def test_aiortc_gets_an_answer_for_every_profile_of_an_encoder(profile: str) -> None:
    connection = RTCPeerConnection()
    connection.addTransceiver("video", direction="recvonly")
    offered = parse_description((await connection.createOffer()).sdp).sections[0]
    await connection.close()
    choice = choose_viewer_video(offered, source(parameters=f"packetization-mode=1;profile-level-id={profile}"))
    assert choice is not None
    assert (choice.codec, packetization_mode(choice.parameters)) == (Codec.H264, 1)
