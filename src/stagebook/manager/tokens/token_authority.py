"""Participant tokens: minting and verifying the JWTs that admit participants."""

from typing import Protocol

import msgspec

from stagebook.stage.claims import Claims, ConnectionClaims


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses a stage and its tokens carry. `rtmp` and `rtmps` end in a slash, after which encoders put their
    stream key; they are None when nothing listens there."""

    events: str
    whip: str
    rtmp: str | None
    rtmps: str | None


class TokenAuthority(Protocol):
    """Makes and checks participant tokens."""

    def mint(self, claims: Claims) -> str:
        """Return a signed token for these claims."""

    def verify(self, token: str, *, now_ms: int | None) -> Claims:
        """Return the claims of a token, expired or not when `now_ms` is None.

        Raises TokenRefusedError (MALFORMED, SIGNATURE, EXPIRED, STAGE_MISMATCH).
        """

    def verify_connection(self, token: str, *, now_ms: int) -> ConnectionClaims:
        """Return what a connection token says. Raises TokenRefusedError like `verify`."""
