"""Parsing and negotiating an offer costs operations in proportion to its size, whatever its lines are."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.port import MediaRefusedError
from stagebook.media.rtc.sdp.media_section_parser import MAX_FMTP_CHARACTERS, MAX_FMTP_PARAMETERS
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.session_description import KNOWN_FEEDBACK, SdpMalformedError
from tests.media.rtc import offers
from tests.media.rtc.operation_count import count_operations


class CountedString(str):
    """A string that counts how often it is compared, which the count of bytecodes does not show."""

    __slots__ = ()
    comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        CountedString.comparisons += 1
        return str.__eq__(self, other)


def count_calls(work: Callable[[], object]) -> int:
    """Return the number of calls of functions that are written in Python."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(previous)
    return calls


def negotiate(offer: str) -> None:
    try:
        negotiate_publisher(parse_description(offer), video_codecs=(Codec.H264, Codec.VP8))
    except MediaRefusedError:
        return


def section(size: int, *lines: str) -> str:
    """Return an offer whose video section has `size` formats and `size` times each line, with {} numbered."""
    formats = [str(number) for number in range(size)]
    repeated = [line.format(number % 128) for line in lines for number in range(size)]
    transport = [line for line in offers.TRANSPORT.splitlines() if line]
    head = ["v=0", *transport, f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(formats)}", "a=mid:0", "a=rtcp-mux"]
    return "\r\n".join([*head, *repeated]) + "\r\n"


FEEDBACK = [f"a=rtcp-fb:{{}} {value}" for value in KNOWN_FEEDBACK]


@pytest.mark.parametrize(
    "lines",
    [
        ["a=rtpmap:{} VP8/90000", *FEEDBACK],
        ["a=rtpmap:{} VP8/90000", *(line.replace("{}", "*") for line in FEEDBACK)],
        ["a=rtpmap:{} VP8/90000", "a=rtcp-fb:* x{}", "a=rtcp-fb:{} y"],
        ["a=rtpmap:{} H264/90000", "a=fmtp:{} packetization-mode=1;profile-level-id=42e01f", "a=rtcp-fb:* nack"],
        ["a=rtpmap:{} rtx/90000", "a=fmtp:{} apt=1", "a=rtcp-fb:* nack"],
        ["a=rtpmap:{} AV1/90000", "a=extmap:1 urn:{}", "a=ssrc:{} cname:x"],
        ["a=rid:a{} send", "a=simulcast:send a1;a2"],
    ],
    ids=lambda lines: " ".join(lines)[:40],
)
def test_twice_the_lines_cost_at_most_twice_the_operations(lines: list[str]) -> None:
    small, large = section(60, *lines), section(120, *lines)
    assert count_operations(lambda: negotiate(large)) < 2.2 * count_operations(lambda: negotiate(small))


def test_a_large_offer_costs_less_than_thirty_operations_for_each_byte() -> None:
    offer = section(128, "a=rtpmap:{} VP8/90000", *FEEDBACK, "a=rtcp-fb:{} some-other-feedback-of-some-length")
    count = count_operations(lambda: negotiate(offer))
    assert count < 30 * len(offer)


def test_a_line_of_feedback_costs_three_calls() -> None:
    small, large = section(50, *FEEDBACK), section(50, *FEEDBACK, *FEEDBACK)
    calls = count_calls(lambda: parse_description(large)) - count_calls(lambda: parse_description(small))
    assert calls <= 3 * 50 * len(FEEDBACK)


def test_a_format_is_looked_up_and_not_searched_for() -> None:
    names = [CountedString(number) for number in range(128)]
    parser_module = sys.modules["stagebook.media.rtc.sdp.media_section_parser"]
    parser = parser_module.MediaSectionParser("video 9 UDP/TLS/RTP/SAVPF 0", direction="sendonly")
    parser._formats = tuple(names)
    parser._distinct_formats = dict.fromkeys(names)
    CountedString.comparisons = 0
    for _ in range(100):
        parser.parse_attribute("rtpmap", "127 VP8/90000")
        parser.parse_attribute("fmtp", "127 a=b")
        parser.parse_attribute("rtcp-fb", "127 nack")
    assert CountedString.comparisons < 100 * 3 * 8


@pytest.mark.parametrize(
    "line",
    ["a=fmtp:{} " + "a=b;" * MAX_FMTP_PARAMETERS, "a=simulcast:send " + "a;" * 200, "a=simulcast:" + "send " * 200],
    ids=["fmtp", "simulcast layers", "simulcast words"],
)
def test_lines_of_many_parts_cost_less_than_thirty_operations_for_each_byte(line: str) -> None:
    offer = section(128, "a=rtpmap:{} H264/90000", "a=rtcp-fb:{} nack", line)
    assert count_operations(lambda: negotiate(offer)) < 30 * len(offer)


def test_the_number_of_parameters_of_a_payload_type_is_limited() -> None:
    line = "a=fmtp:96 " + "a=b;" * MAX_FMTP_PARAMETERS
    parse_description(f"v=0\nm=video 9 X 96\n{line}\n")
    with pytest.raises(SdpMalformedError, match="a=fmtp has more than 32 parameters"):
        parse_description(f"v=0\nm=video 9 X 96\n{line};\n")


def test_the_parameters_of_a_payload_type_have_a_limit_of_their_own() -> None:
    line = "a=fmtp:96 " + "x" * MAX_FMTP_CHARACTERS
    parse_description(f"v=0\nm=video 9 X 96\n{line}\n")
    with pytest.raises(SdpMalformedError, match="a=fmtp is longer than 4096 characters"):
        parse_description(f"v=0\nm=video 9 X 96\n{line}x\n")
