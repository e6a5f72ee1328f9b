"""Trickle-ICE fragments (RFC 8840) as WHIP's PATCH carries them (RFC 9725 section 4.3): read, tell apart, answer."""

import msgspec

from stagebook.media.rtc.sdp.media_section_parser import MAX_CANDIDATES, read_pwd, read_ufrag
from stagebook.media.rtc.sdp.sdp_answer import LocalTransport, candidate_lines
from stagebook.media.rtc.sdp.sdp_parser import split_lines
from stagebook.media.rtc.sdp.session_description import SdpMalformedError

MAX_FRAGMENT_BYTES = 32_768
MAX_LINES = 1_024


class IceFragment(msgspec.Struct, frozen=True, kw_only=True):
    """What a fragment says. An ICE-lite agent needs no candidates, so they are counted only."""

    ufrag: str | None
    pwd: str | None
    candidate_count: int
    end_of_candidates: bool

    def restarts(self, *, ufrag: str, pwd: str) -> bool:
        """Whether this asks for an ICE restart: it names other credentials than the peer's current ones
        (RFC 9725 section 4.3.3, RFC 8839 section 4.4.1.1.1)."""
        return self.ufrag is not None and (self.ufrag, self.pwd) != (ufrag, pwd)


def parse_fragment(text: str) -> IceFragment:
    """Read a fragment. Raises SdpMalformedError (bad grammar, too large, or no ICE information at all).

    Credentials may stand before the first m= line or in a section; only one pair can be meant, because all
    sections share one transport.
    """
    ufrags: set[str] = set()
    pwds: set[str] = set()
    candidates = 0
    ended = False
    for line in split_lines(text, max_bytes=MAX_FRAGMENT_BYTES, max_lines=MAX_LINES):
        name, _, value = line[2:].partition(":") if line.startswith("a=") else ("", "", "")
        if name == "ice-ufrag":
            ufrags.add(read_ufrag(value))
        elif name == "ice-pwd":
            pwds.add(read_pwd(value))
        elif name == "candidate":
            candidates += 1
        ended = ended or name == "end-of-candidates"
    if candidates > MAX_CANDIDATES:
        raise SdpMalformedError(f"more than {MAX_CANDIDATES} candidates in one fragment")
    if len(ufrags) > 1 or len(ufrags) != len(pwds):
        raise SdpMalformedError("a fragment needs a=ice-ufrag and a=ice-pwd together, one pair for all sections")
    if not ufrags and not candidates and not ended:
        raise SdpMalformedError("the fragment has neither ICE credentials nor candidates")
    ufrag, pwd = next(iter(ufrags), None), next(iter(pwds), None)
    return IceFragment(ufrag=ufrag, pwd=pwd, candidate_count=candidates, end_of_candidates=ended)


def write_restart_fragment(local: LocalTransport, *, mid: str, kind: str) -> str:
    """The fragment that answers an ICE restart: our new credentials, and our candidates in the section `mid`, the
    first of the bundle (RFC 9725 section 4.3.3; the m= line is a pseudo line, RFC 8840 section 4.2)."""
    lines = [
        "a=ice-lite",
        "a=ice-options:trickle ice2",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.pwd}",
        f"m={kind} 9 UDP/TLS/RTP/SAVPF 0",
        f"a=mid:{mid}",
        *candidate_lines(local),
    ]
    return "\r\n".join(lines) + "\r\n"
