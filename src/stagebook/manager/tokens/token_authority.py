"""The port of tokens: minting participant tokens, and verifying participant tokens and connection tokens."""

from typing import Protocol

import msgspec

from stagebook.stage.claims import Claims, ConnectionClaims


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """The URLs that stages and tokens carry.

    `rtmp` and `rtmps` end in a slash, after which encoders put their stream key; they are None when the server does not
    listen for them.
    """

    events: str
    whip: str
    rtmp: str | None
    rtmps: str | None


class TokenAuthority(Protocol):
    """Mints and verifies tokens."""

    def mint(self, claims: Claims) -> str:
        """Return a signed participant token for these claims."""

    def is_known(self, token: str) -> bool:
        """Return whether verifying this token costs little, because its verdict is cached or needs no signature.

        The API limits the rate of other tokens for each address: each of them costs the check of a signature.
        """

    def has_key(self, arn: str) -> bool:
        """Return whether the key of a self-signed token exists."""

    def verify(self, token: str, *, now_ms: int | None) -> Claims:
        """Return the claims of a participant token. `now_ms` is the wall clock; with None, its times are not checked.

        Raises TokenRefusedError (MALFORMED, SIGNATURE, EXPIRED, STAGE_MISMATCH).
        """

    def verify_connection(self, token: str, *, now_ms: int) -> ConnectionClaims:
        """Return the claims of a connection token. Raises TokenRefusedError like `verify`."""
