"""The accepted payload type of a section: codec order, H.264 profiles and packetization modes, RTX, Opus."""

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
    """Return a video section with payload types of (number, rtpmap, fmtp)."""
    numbers = " ".join(str(number) for number, _, _ in payloads)
    lines = ["v=0", f"m=video 9 UDP/TLS/RTP/SAVPF {numbers}", f"a=rtcp-fb:* {feedback}"]
    for number, codec, parameters in payloads:
        lines += [f"a=rtpmap:{number} {codec}", f"a=fmtp:{number} {parameters}"]
    return parse_description("\n".join(lines)).sections[0]


def h264(number: int, profile: str, mode: int = 1) -> tuple[int, str, str]:
    return number, "H264/90000", f"packetization-mode={mode};profile-level-id={profile}"


def source(codec: Codec = Codec.H264, parameters: str = "") -> SourceFormat:
    return SourceFormat(video_codec=codec, video_parameters=parameters, audio_codec=Codec.OPUS, audio_parameters="")


def chosen_for_publisher(*payloads: tuple[int, str, str], current: SourceFormat | None = None) -> int | None:
    choice = choose_publisher_video(section(*payloads), BOTH, current)
    return choice.payload.payload_type if choice else None


def chosen_for_viewer(of: SourceFormat, *payloads: tuple[int, str, str]) -> int | None:
    choice = choose_viewer_video(section(*payloads), of)
    return choice.payload.payload_type if choice else None


VP8 = (120, "VP8/90000", "max-fs=12288")


def test_our_order_of_codecs_counts_and_not_that_of_the_offer() -> None:
    offered = section(VP8, h264(96, CONSTRAINED))
    first = choose_publisher_video(offered, (Codec.H264, Codec.VP8), None)
    second = choose_publisher_video(offered, (Codec.VP8, Codec.H264), None)
    assert first is not None
    assert second is not None
    assert (first.codec, second.codec) == (Codec.H264, Codec.VP8)


def test_an_unsupported_codec_is_not_chosen() -> None:
    assert chosen_for_publisher((45, "AV1/90000", "profile=0")) is None
    assert choose_publisher_video(section(VP8), (Codec.H264,), None) is None


def test_the_codec_of_a_source_that_is_taken_over_is_preferred() -> None:
    assert chosen_for_publisher(h264(96, CONSTRAINED), VP8, current=source(Codec.VP8)) == 120


def test_the_profile_of_a_source_that_is_taken_over_is_preferred() -> None:
    current = source(parameters="packetization-mode=1;profile-level-id=640032")
    assert chosen_for_publisher(h264(96, CONSTRAINED), h264(97, HIGH), current=current) == 97


def test_a_publisher_gets_the_profile_that_most_viewers_play() -> None:
    assert chosen_for_publisher(h264(96, HIGH), h264(97, MAIN), h264(98, BASELINE), h264(99, CONSTRAINED)) == 99
    assert chosen_for_publisher(h264(96, HIGH), h264(97, MAIN), h264(98, BASELINE)) == 98
    assert chosen_for_publisher(h264(96, HIGH), h264(97, MAIN)) == 97


def test_packetization_mode_1_is_preferred_to_a_better_profile_and_mode_0_is_accepted() -> None:
    assert chosen_for_publisher(h264(96, CONSTRAINED, 0), h264(97, HIGH, 1)) == 97
    assert chosen_for_publisher(h264(96, CONSTRAINED, 0)) == 96


@pytest.mark.parametrize("mode", [2, 7])
def test_interleaved_h264_is_not_accepted(mode: int) -> None:
    assert chosen_for_publisher(h264(96, CONSTRAINED, mode)) is None


def test_a_viewer_gets_the_profile_of_the_source_then_one_that_includes_it_then_any() -> None:
    constrained = source(parameters=f"profile-level-id={CONSTRAINED}")
    assert chosen_for_viewer(constrained, h264(96, HIGH), h264(97, CONSTRAINED)) == 97
    assert chosen_for_viewer(constrained, h264(96, HIGH), h264(97, BASELINE)) == 96
    main = source(parameters=f"profile-level-id={MAIN}")
    assert chosen_for_viewer(main, h264(96, CONSTRAINED), h264(97, HIGH)) == 97
    high = source(parameters=f"profile-level-id={HIGH}")
    assert chosen_for_viewer(high, h264(96, CONSTRAINED)) == 96


def test_a_viewer_must_support_packetization_mode_1() -> None:
    assert chosen_for_viewer(source(), h264(96, CONSTRAINED, 0)) is None


def test_a_viewer_must_support_the_codec_of_the_source() -> None:
    assert chosen_for_viewer(source(Codec.VP8), h264(96, CONSTRAINED)) is None
    assert chosen_for_viewer(source(Codec.VP8), VP8) == 120


@pytest.mark.parametrize("number", [64, 72, 95])
def test_payload_types_in_the_range_of_rtcp_are_not_accepted(number: int) -> None:
    assert chosen_for_publisher(h264(number, CONSTRAINED)) is None


def test_rtx_is_found_by_its_apt() -> None:
    offered = section(h264(96, CONSTRAINED), (97, "rtx/90000", "apt=98"), (99, "RTX/90000", "rtx-time=3000; apt=96"))
    choice = choose_publisher_video(offered, BOTH, None)
    assert choice is not None
    assert choice.rtx_payload_type == 99


def test_without_nack_there_is_no_rtx() -> None:
    offered = section(h264(96, CONSTRAINED), (97, "rtx/90000", "apt=96"), feedback="ccm fir")
    choice = choose_publisher_video(offered, BOTH, None)
    assert choice is not None
    assert choice.rtx_payload_type is None


def test_sprop_parameters_are_not_in_the_answer() -> None:
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
def test_profiles_are_those_of_rfc_6184_table_5(parameters: str, profile: tuple[int, bool]) -> None:
    assert h264_profile(parameters) == profile


def test_fmtp_values_are_parsed_leniently() -> None:
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
def test_chromium_gets_the_profile_of_an_encoder_or_one_that_includes_it(profile: str, number: int) -> None:
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
