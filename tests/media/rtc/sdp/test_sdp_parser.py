"""Offers of the known clients are parsed; an oversized, malformed or hostile one is rejected with a reason, quickly."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.session_description import SdpMalformedError
from tests.media.rtc import offers


@pytest.mark.parametrize("offer", offers.PUBLISHERS.values(), ids=offers.PUBLISHERS.keys())
def test_offers_of_publishers_are_parsed(offer: str) -> None:
    description = parse_description(offer)
    assert {section.kind for section in description.sections} >= {"audio", "video"}
    for section in description.sections[:2]:
        assert section.transport.ufrag == offers.UFRAG
        assert section.transport.pwd == offers.PWD
        assert section.transport.setup == ("passive" if offer == offers.FFMPEG else "actpass")
        assert section.transport.fingerprints
        assert section.mid in description.bundle


async def test_offers_of_aiortc_are_parsed() -> None:
    for offer, direction in ((await offers.aiortc_publisher(), "sendonly"), (await offers.aiortc_viewer(), "recvonly")):
        description = parse_description(offer)
        assert [section.direction for section in description.sections] == [direction, direction]


def test_a_section_inherits_the_attributes_of_the_session() -> None:
    audio, video = parse_description(offers.FIREFOX_VIEWER).sections
    assert [fingerprint.digest for fingerprint in video.transport.fingerprints] == [bytes(range(32))]
    assert audio.transport.fingerprints == video.transport.fingerprints
    assert video.bundle_only
    assert video.port == 0


def test_all_line_endings_are_accepted() -> None:
    expected = parse_description(offers.CHROMIUM)
    assert parse_description(offers.CHROMIUM.replace("\r\n", "\n")) == expected
    assert parse_description(offers.CHROMIUM.replace("\r\n", "\r")) == expected


def test_unused_lines_and_attributes_are_ignored() -> None:
    extra = "z=0 0\r\nb=AS:900\r\na=nonsense\r\na=something:else entirely\r\n"
    assert parse_description(offers.CHROMIUM + extra) == parse_description(offers.CHROMIUM)


def test_the_direction_of_the_session_is_the_default_of_its_sections() -> None:
    offer = offers.CHROMIUM.replace("a=sendonly\r\n", "").replace("t=0 0\r\n", "t=0 0\r\na=recvonly\r\n")
    assert {section.direction for section in parse_description(offer).sections} == {"recvonly"}


@pytest.mark.parametrize(
    ("offer", "message"),
    [
        ("", "v=0"),
        ("v=1\r\n", "v=0"),
        ("<html></html>", "not a line"),
        ("v=0\r\nnonsense\r\n", "not a line"),
        ("v=0\r\na=x\0y\r\n", "control"),
        ("v=0\r\na=\ud800\r\n", "control"),
        ("v=0\r\n" + "a=x\r\n" * 4_096, "4096 lines"),
        ("v=0\r\na=" + "x" * 65_536, "65536 bytes"),
        ("v=0\r\na=" + "\N{SNOWMAN}" * 30_000, "65536 bytes"),
        ("v=0\r\n" + "m=audio 9 X 0\r\n" * 33, "32 media sections"),
        (offers.CHROMIUM.replace("a=mid:1", "a=mid:0"), "same a=mid"),
    ],
)
def test_malformed_descriptions_are_rejected_with_a_reason(offer: str, message: str) -> None:
    with pytest.raises(SdpMalformedError, match=message) as refused:
        parse_description(offer)
    assert refused.value.reason is RefusalReason.MALFORMED


def test_the_error_names_the_malformed_line() -> None:
    with pytest.raises(SdpMalformedError, match=r"line 3 of the session description: a=setup"):
        parse_description("v=0\r\ns=-\r\na=setup:upside-down\r\n")


def test_the_error_is_a_media_refused_error() -> None:
    assert issubclass(SdpMalformedError, MediaRefusedError)


@settings(max_examples=200)
@given(st.text(max_size=400))
def test_arbitrary_strings_are_parsed_or_rejected(noise: str) -> None:
    for sdp in (noise, "v=0\n" + noise, "v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96\n" + noise):
        try:
            parse_description(sdp)
        except SdpMalformedError:
            continue


@settings(max_examples=300)
@given(
    st.sampled_from([*offers.PUBLISHERS.values(), offers.FIREFOX_VIEWER]),
    st.integers(0, 2**32),
    st.text(alphabet="=: ;/,~-.0123456789amsrv\r\n\t\0é٣", max_size=12),
)
def test_mutated_offers_are_parsed_or_rejected(offer: str, seed: int, noise: str) -> None:
    randomness = random.Random(seed)
    sdp = offer
    for _ in range(randomness.randint(1, 4)):
        position = randomness.randrange(len(sdp))
        sdp = sdp[:position] + noise + sdp[position + randomness.randint(0, 20) :]
    try:
        parse_description(sdp)
    except SdpMalformedError:
        return


@pytest.mark.parametrize("line", ["a=rtpmap:96 VP8/90000", "a=ssrc:1 cname:x", "a=fmtp:96 a=b;c=d", "a=extmap:1 urn:x"])
def test_the_largest_offers_are_parsed_in_little_time(line: str) -> None:
    head = "v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96\n"
    sdp = head + (line + "\n") * min(4_000, 65_000 // (len(line) + 1))
    started = time.process_time()
    parse_description(sdp)
    assert time.process_time() - started < 0.5
