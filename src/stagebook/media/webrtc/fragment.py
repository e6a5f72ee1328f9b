"""Trickle-ICE fragments (RFC 8840) as WHIP's PATCH carries them (RFC 9725 section 4.3): read, tell apart, answer."""

import msgspec

from stagebook.media.webrtc.answer import LocalTransport


class IceFragment(msgspec.Struct, frozen=True, kw_only=True):
    """What a fragment says. An ICE-lite agent needs no candidates, so they are checked and counted only."""

    ufrag: str | None
    pwd: str | None
    candidate_count: int
    end_of_candidates: bool
    mids: tuple[str, ...]

    def restarts(self, *, ufrag: str, pwd: str) -> bool:
        """Whether this asks for an ICE restart: it names other credentials than the peer's current ones."""
        raise NotImplementedError


def parse_fragment(text: str) -> IceFragment:
    """Read a fragment. Raises SdpMalformedError (bad grammar, too large, or no ICE information at all)."""
    raise NotImplementedError


def write_restart_fragment(local: LocalTransport, *, mid: str, kind: str) -> str:
    """The fragment that answers an ICE restart: our new credentials, and our candidates in the first bundled section."""
    raise NotImplementedError
