"""Tokens as JSON Web Tokens: ES384 over P-384, signed and checked with the server's own key, or checked with a key
that a caller imported and that the token's header names (`kid`).

Owns the signature, the header and the time of a token (RFC 7519, RFC 7515); what payloads say is in `token_payload`.
Must not know connections, events or what a participant may do next. Tokens are secrets: none is kept, logged or quoted
in an error; the cache remembers digests.
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.manager.tokens.token_payload import read_connection, read_participant, write_participant
from stagebook.stage.arns import parse_arn
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.errors import MalformedArnError, TokenRefusal, TokenRefusedError

ALGORITHM = "ES384"
TOKEN_SIZE_BYTES = 12 * 1024
"""Room for the largest token there can be: 1 KiB of attributes and 128 characters of user id, all of them escaped."""
CACHE_SIZE_TOKENS = 8_192
ATTRIBUTES_SIZE_BYTES = 1_024
CLOCK_SKEW_SECONDS = 300
"""How far ahead of the server's the clock of a caller who signs tokens may go; an iat beyond it would buy more than the
14 days a token may live."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

FindKey: TypeAlias = Callable[[str], ec.EllipticCurvePublicKey | None]
"""Gives the imported P-384 public key of an ARN, or None when there is none (any more)."""


def new_private_key_pem() -> bytes:
    """Return a new P-384 private key as PKCS #8 PEM, for the data folder. It is not encrypted: keep it 0600."""
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def no_imported_keys(_arn: str) -> None:
    """Find no key: only tokens that the server itself minted are good."""


class JwtAuthority:
    """The TokenAuthority of this server: one private key, and a bounded memory of signatures already checked.

    Verifying a P-384 signature is slow beside everything else a request costs, and a participant shows the same token
    for every connection. Times, and whether an imported key is still there, are checked every time.
    """

    def __init__(
        self,
        *,
        private_key_pem: bytes,
        endpoints: Endpoints,
        find_key: FindKey = no_imported_keys,
        attributes_size_bytes: int = ATTRIBUTES_SIZE_BYTES,
        cache_size_tokens: int = CACHE_SIZE_TOKENS,
    ) -> None:
        """Take the key of `new_private_key_pem`, the addresses to put into tokens, and the quota of attributes.

        Raises ValueError when the PEM does not hold a P-384 private key.
        """
        key = serialization.load_pem_private_key(private_key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
            raise ValueError("the token key must be an ECDSA P-384 (secp384r1) private key in PEM form")
        self._private_key = key
        self._public_key = key.public_key()
        self._endpoints = endpoints
        self._find_key = find_key
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._verified: OrderedDict[bytes, Claims | ConnectionClaims] = OrderedDict()
        self._attributes_size_bytes = attributes_size_bytes
        self._cache_size_tokens = cache_size_tokens

    def mint(self, claims: Claims) -> str:
        """Return a signed token for these claims, readable without a key by the clients that look into it."""
        return self._jws.encode(write_participant(claims, self._endpoints), self._private_key, algorithm=ALGORITHM)

    def verify(self, token: str, *, now_ms: int | None) -> Claims:
        """Return the claims of a participant token whose signature, form and times are right at `now_ms` (None:
        whenever).

        Raises TokenRefusedError: MALFORMED, SIGNATURE, EXPIRED, or STAGE_MISMATCH when its topic is not its stage, or
        its key is not of its stage's account and region.
        """
        digest = _digest(token)
        claims = self._recall(digest)
        if not isinstance(claims, Claims):
            body, key_arn = self._open(token)
            claims = read_participant(
                body,
                key_arn=key_arn,
                endpoints=self._endpoints,
                attributes_size_bytes=self._attributes_size_bytes,
            )
            self._remember(digest, claims)
        _require_time(claims, now_ms)
        return claims

    def verify_connection(self, token: str, *, now_ms: int) -> ConnectionClaims:
        """Return what a connection token says, right at `now_ms`; raise TokenRefusedError as `verify` does."""
        digest = _digest(token)
        claims = self._recall(digest)
        if not isinstance(claims, ConnectionClaims):
            body, key_arn = self._open(token)
            if key_arn is None:
                raise _refused(TokenRefusal.SIGNATURE, "a connection token must name the public key (kid) to check it")
            claims = read_connection(body, key_arn=key_arn, endpoints=self._endpoints)
            self._remember(digest, claims)
        _require_time(claims, now_ms)
        return claims

    def _open(self, token: str) -> tuple[bytes, str | None]:
        """Return the payload of a token and the ARN of the imported key that signed it; None is the server's own.

        The algorithm is ours to say, not the token's.
        """
        try:
            header = self._jws.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _refused(TokenRefusal.MALFORMED, "the token's parts cannot be decoded") from None
        if header.get("alg") != ALGORITHM or header.get("typ", "JWT") != "JWT" or "crit" in header:
            raise _refused(TokenRefusal.SIGNATURE, f"the token's header must say typ JWT and alg {ALGORITHM}")
        key_arn = header.get("kid")
        key = self._public_key if key_arn is None else self._imported_key(key_arn)
        try:
            body: bytes = self._jws.decode(token, key, algorithms=[ALGORITHM])
        except jwt.PyJWTError:
            whose = "this server's key" if key_arn is None else "the key that it names (kid)"
            raise _refused(TokenRefusal.SIGNATURE, f"the token's signature is not of {whose}") from None
        return body, key_arn

    def _imported_key(self, arn: str) -> ec.EllipticCurvePublicKey:
        try:
            key = self._find_key(str(parse_arn(arn)))
        except MalformedArnError:
            key = None
        if key is None:
            raise _refused(TokenRefusal.SIGNATURE, "the token names a public key (kid) that is not known here")
        return key

    def _recall(self, digest: bytes) -> Claims | ConnectionClaims | None:
        claims = self._verified.get(digest)
        if claims is None:
            return None
        if claims.key_arn is not None:
            self._imported_key(claims.key_arn)
        self._verified.move_to_end(digest)
        return claims

    def _remember(self, digest: bytes, claims: Claims | ConnectionClaims) -> None:
        self._verified[digest] = claims
        if len(self._verified) > self._cache_size_tokens:
            self._verified.popitem(last=False)


def _digest(token: str) -> bytes:
    if len(token) > TOKEN_SIZE_BYTES or _COMPACT.fullmatch(token) is None:
        raise _refused(TokenRefusal.MALFORMED, "the token is not a JSON Web Token of acceptable size")
    return hashlib.sha256(token.encode("ascii")).digest()


def _require_time(claims: Claims | ConnectionClaims, now_ms: int | None) -> None:
    if now_ms is None:
        return
    if now_ms >= claims.expires_at_seconds * 1_000:
        raise _refused(TokenRefusal.EXPIRED, "the token has expired")
    if claims.key_arn is not None and (claims.issued_at_seconds or 0) * 1_000 > now_ms + CLOCK_SKEW_SECONDS * 1_000:
        raise _refused(TokenRefusal.MALFORMED, "the token's iat lies in the future")


def _refused(refusal: TokenRefusal, detail: str) -> TokenRefusedError:
    return TokenRefusedError(refusal=refusal, detail=detail)
