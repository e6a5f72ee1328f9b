"""Participant tokens: minting and verifying the JWTs that admit participants (reference 3.3)."""

from typing import Protocol

import msgspec

from stagebook.stage.claims import Claims


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses a stage and its tokens carry, without trailing slash, built from the public URL."""

    events: str
    whip: str
    rtmp: str
    rtmps: str


class TokenAuthority(Protocol):
    """Makes and checks participant tokens."""

    def mint(self, claims: Claims) -> str:
        """Return a signed token for these claims."""

    def verify(self, token: str, *, now_ms: int) -> Claims:
        """Return the claims of a token; raise TokenRefusedError (MALFORMED, SIGNATURE, EXPIRED, STAGE_MISMATCH)."""
