"""One media section: formats, feedback, extensions, SSRCs and simulcast, each within its limit."""

import pytest

from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.session_description import MediaSection, PayloadFormat, SdpMalformedError, SsrcGroup
from tests.media.rtc import offers

MEDIA = "m=video 9 UDP/TLS/RTP/SAVPF 96 97"


def parse_section(*attributes: str, media: str = MEDIA) -> MediaSection:
    return parse_description("\n".join(["v=0", media, *attributes])).sections[0]


def test_the_m_line_is_parsed_and_keeps_its_formats_for_a_rejection() -> None:
    section = parse_section(media="m=application 9/2 UDP/DTLS/SCTP webrtc-datachannel")
    assert (section.kind, section.port, section.protocol) == ("application", 9, "UDP/DTLS/SCTP")
    assert section.formats == ("webrtc-datachannel",)
    assert section.payloads == ()


@pytest.mark.parametrize(
    "media",
    [
        "m=video", "m=video 9 RTP/SAVPF", "m=video x RTP/SAVPF 96", "m=video 65536 RTP/SAVPF 96", "m=v(deo 9 X 96",
        "m=video -1 X 96", "m=video ٣ X 96", "m=video 9 X,Y 96", "m=video 9 X 96 @", "m=video 9 X " + "96 " * 129,
    ],
)  # fmt: skip
def test_a_malformed_m_line_is_rejected(media: str) -> None:
    with pytest.raises(SdpMalformedError):
        parse_section(media=media)


def test_a_payload_type_has_its_codec_parameters_and_feedback() -> None:
    section = parse_section(
        "a=rtcp-fb:* ccm fir", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtcp-fb:97 goog-remb",
        "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1;profile-level-id=42e01f", "a=rtpmap:98 VP8/90000",
    )  # fmt: skip
    assert section.payloads == (
        PayloadFormat(
            payload_type=96,
            encoding="H264",
            clock_rate=90_000,
            channels=1,
            parameters="packetization-mode=1;profile-level-id=42e01f",
            feedback=("nack", "nack pli", "ccm fir"),
        ),
    )


def test_payload_types_keep_the_order_of_the_m_line() -> None:
    section = parse_section("a=rtpmap:97 VP8/90000", "a=rtpmap:96 H264/90000")
    assert [payload.payload_type for payload in section.payloads] == [96, 97]


def test_channels_are_parsed() -> None:
    assert parse_section("a=rtpmap:96 opus/48000/2").payloads[0].channels == 2


def test_the_last_direction_and_the_first_rtpmap_of_a_payload_type_count() -> None:
    section = parse_section("a=sendrecv", "a=inactive", "a=rtpmap:96 VP8/90000", "a=rtpmap:96 H264/90000")
    assert section.direction == "inactive"
    assert section.payloads[0].encoding == "VP8"


def test_header_extensions_are_parsed_with_and_without_direction() -> None:
    section = parse_section("a=extmap:1 urn:a", "a=extmap:2/recvonly urn:b attributes")
    assert section.extensions == {"urn:a": 1, "urn:b": 2}


def test_ssrcs_and_their_groups_are_parsed_once_each() -> None:
    section = parse_section(
        "a=ssrc:1 cname:x", "a=ssrc:1 msid:y", "a=ssrc:4294967295 cname:x", "a=ssrc-group:FID 1 4294967295"
    )
    assert section.ssrcs == (1, 4_294_967_295)
    assert section.ssrc_groups == (SsrcGroup(semantics="FID", ssrcs=(1, 4_294_967_295)),)


def test_simulcast_layers_are_the_declared_rids_in_the_order_of_the_simulcast_attribute() -> None:
    section = parse_section(
        "a=rid:a send", "a=rid:b send max-width=640", "a=rid:c recv", "a=simulcast:send ~b;a,x;c recv c"
    )
    assert section.send_rids == ("b", "a")


def test_rids_without_a_simulcast_attribute_are_not_layers() -> None:
    assert parse_section("a=rid:a send").send_rids == ()


def test_fingerprints_weaker_than_sha_256_are_ignored() -> None:
    sha1, sha224 = ":".join(["00"] * 20), ":".join(["00"] * 28)
    section = parse_section(
        f"a=fingerprint:sha-1 {sha1}",
        f"a=fingerprint:sha-224 {sha224}",
        f"a=fingerprint:SHA-512 {offers.SHA512.lower()}",
    )
    assert [(fingerprint.algorithm, fingerprint.digest) for fingerprint in section.transport.fingerprints] == [
        ("sha-512", bytes(range(64)))
    ]


@pytest.mark.parametrize(
    "attribute",
    [
        "ice-ufrag:abc", "ice-ufrag:a b c d", "ice-ufrag:" + "x" * 257, "ice-pwd:short", "ice-pwd:" + "x" * 257,
        "setup:maybe", "fingerprint:sha-256 00:11", "fingerprint:sha-256 " + "zz:" * 31 + "zz", "mid:", "mid:a b",
        "rtpmap:128 VP8/90000", "rtpmap:96 VP8", "rtpmap:96 VP8/0", "rtpmap:96 VP8/x", "rtpmap:96", "rtpmap:96 V P/9",
        "rtpmap:96 opus/48000/999", "extmap:0 urn:x", "extmap:x urn:x", "ssrc:4294967296 cname:x", "ssrc:x",
        "ssrc-group:FID x", "rid:a", "rid:a sideways", "rid:ä send",
    ],
)  # fmt: skip
def test_a_malformed_attribute_that_is_used_is_rejected(attribute: str) -> None:
    with pytest.raises(SdpMalformedError, match="line 3"):
        parse_section("a=" + attribute)


@pytest.mark.parametrize(
    ("pattern", "limit"),
    [
        ("ssrc:{} cname:x", 64),
        ("ssrc-group:FID 1 {}", 32),
        ("rid:r{} send", 16),
        ("rtcp-fb:96 x{}", 512),
        ("extmap:{} urn:x", 256),
        ("candidate:{} 1 udp 1 192.0.2.1 1 typ host", 256),
        (f"fingerprint:sha-256 {offers.SHA256}", 16),
    ],
)
def test_each_collection_has_its_limit(pattern: str, limit: int) -> None:
    lines = ["a=" + pattern.format(number) for number in range(1, limit + 2)]
    if "extmap" in pattern:
        lines = [line + str(number) for number, line in enumerate(lines)]
    parse_section(*lines[:limit])
    with pytest.raises(SdpMalformedError, match=f"more than {limit} "):
        parse_section(*lines)
