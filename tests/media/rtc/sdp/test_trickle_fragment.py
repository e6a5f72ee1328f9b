"""Trickle and ICE restart fragments (RFC 8840, RFC 9725 section 4.3)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.sdp.session_description import SdpMalformedError
from stagebook.media.rtc.sdp.trickle_fragment import parse_fragment, write_restart_fragment
from tests.media.rtc import offers

CREDENTIALS = f"a=ice-ufrag:{offers.UFRAG}\r\na=ice-pwd:{offers.PWD}\r\n"
SECTION = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
CANDIDATE = "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n"
# As in the examples of RFC 9725 sections 4.3.2 and 4.3.3.
TRICKLE = "a=group:BUNDLE 0 1\r\n" + SECTION + CREDENTIALS + CANDIDATE * 2 + "a=end-of-candidates\r\n"


def test_a_trickle_fragment_is_parsed() -> None:
    fragment = parse_fragment(TRICKLE)
    assert (fragment.ufrag, fragment.pwd) == (offers.UFRAG, offers.PWD)
    assert fragment.candidate_count == 2
    assert fragment.end_of_candidates


def test_credentials_may_come_before_the_sections() -> None:
    assert parse_fragment(CREDENTIALS + SECTION + CANDIDATE).ufrag == offers.UFRAG


def test_only_other_credentials_than_the_current_ones_ask_for_a_restart() -> None:
    current = parse_fragment(TRICKLE)
    bare = parse_fragment(SECTION + CANDIDATE)
    assert not current.restarts(ufrag=offers.UFRAG, pwd=offers.PWD)
    assert not bare.restarts(ufrag=offers.UFRAG, pwd=offers.PWD)
    assert current.restarts(ufrag="other", pwd=offers.PWD)
    assert current.restarts(ufrag=offers.UFRAG, pwd="x" * 24)


@pytest.mark.parametrize(
    "fragment",
    [
        "",
        "hello",
        SECTION,
        f"a=ice-ufrag:{offers.UFRAG}",
        f"a=ice-pwd:{offers.PWD}",
        "a=ice-ufrag:x\na=ice-pwd:y",
        CREDENTIALS + "a=ice-ufrag:another\r\n",
        CANDIDATE * 257,
        "a=x\n" * 1_025,
        "a=" + "x" * 40_000,
        CANDIDATE + "a=\0",
    ],
)
def test_an_invalid_fragment_is_rejected(fragment: str) -> None:
    with pytest.raises(SdpMalformedError):
        parse_fragment(fragment)


def test_the_answer_to_a_restart_has_our_new_credentials_and_candidates() -> None:
    fragment = write_restart_fragment(offers.LOCAL, mid="0", kind="audio")
    assert fragment.endswith("\r\n")
    lines = fragment.split("\r\n")
    assert lines.index("a=ice-lite") < lines.index("m=audio 9 UDP/TLS/RTP/SAVPF 0") < lines.index("a=mid:0")
    written = parse_fragment(fragment)
    assert (written.ufrag, written.pwd) == (offers.LOCAL.ufrag, offers.LOCAL.pwd)
    assert (written.candidate_count, written.end_of_candidates) == (2, True)


@settings(max_examples=200)
@given(st.text(max_size=200), st.integers(0, len(TRICKLE)))
def test_arbitrary_strings_are_parsed_or_rejected(noise: str, position: int) -> None:
    for fragment in (noise, TRICKLE[:position] + noise + TRICKLE[position + len(noise) :]):
        try:
            parse_fragment(fragment)
        except SdpMalformedError:
            continue
