"""The SDP fragments of WHIP's PATCH request (RFC 9725 section 4.3, RFC 8840): trickled candidates and ICE restarts.

A fragment (application/trickle-ice-sdpfrag) holds ICE attributes, with m= and a=mid lines for the section to
which they belong. It has one of two meanings:

* Trickle: the client adds candidates. The ICE username fragment and password are the current ones, or absent. An
  ICE-lite agent does not use candidates, so nothing follows from it.
* Restart: the client has new credentials. The engine answers with a fragment of its own new credentials and its
  candidates (RFC 9725 section 4.3.3).
"""

import msgspec

from stagebook.media.rtc.sdp.media_section_parser import MAX_CANDIDATES
from stagebook.media.rtc.sdp.sdp_answer import LocalTransport, candidate_lines
from stagebook.media.rtc.sdp.sdp_grammar import split_lines
from stagebook.media.rtc.sdp.session_description import SdpMalformedError
from stagebook.media.rtc.sdp.transport_attributes import parse_pwd, parse_ufrag

MAX_FRAGMENT_SIZE_BYTES = 32_768
MAX_LINES = 1_024


class IceFragment(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed fragment. Candidates are only counted."""

    ufrag: str | None
    pwd: str | None
    candidate_count: int
    end_of_candidates: bool

    def restarts(self, *, ufrag: str, pwd: str) -> bool:
        """Return whether the fragment asks for an ICE restart: it has other credentials than `ufrag` and `pwd`, the
        peer's current ones (RFC 9725 section 4.3.3, RFC 8839 section 4.4.1.1.1)."""
        return self.ufrag is not None and (self.ufrag, self.pwd) != (ufrag, pwd)


def parse_fragment(fragment: str) -> IceFragment:
    """Parse a fragment.

    Credentials may stand before the first m= line or in a section. All sections share one transport, so there may be
    only one pair. Raises SdpMalformedError for bad grammar, beyond the limits, and for a fragment without any ICE
    information.
    """
    ufrags: set[str] = set()
    pwds: set[str] = set()
    candidate_count = 0
    end_of_candidates = False
    for line in split_lines(fragment, max_bytes=MAX_FRAGMENT_SIZE_BYTES, max_lines=MAX_LINES):
        name, _, value = line[2:].partition(":") if line.startswith("a=") else ("", "", "")
        if name == "ice-ufrag":
            ufrags.add(parse_ufrag(value))
        elif name == "ice-pwd":
            pwds.add(parse_pwd(value))
        elif name == "candidate":
            candidate_count += 1
        end_of_candidates = end_of_candidates or name == "end-of-candidates"
    if candidate_count > MAX_CANDIDATES:
        raise SdpMalformedError(f"more than {MAX_CANDIDATES} candidates in one fragment")
    if len(ufrags) > 1 or len(ufrags) != len(pwds):
        raise SdpMalformedError("a fragment needs a=ice-ufrag and a=ice-pwd together, one pair for all sections")
    if not ufrags and not candidate_count and not end_of_candidates:
        raise SdpMalformedError("the fragment has neither ICE credentials nor candidates")
    ufrag, pwd = next(iter(ufrags), None), next(iter(pwds), None)
    return IceFragment(ufrag=ufrag, pwd=pwd, candidate_count=candidate_count, end_of_candidates=end_of_candidates)


def write_restart_fragment(local: LocalTransport, *, mid: str, kind: str) -> str:
    """Return the fragment that answers an ICE restart (RFC 9725 section 4.3.3).

    It has our new credentials `local` and our candidates in the section `mid`, the first of the bundle. Its m= line is
    a pseudo line without meaning of its own (RFC 8840 section 4.2).
    """
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
