"""JSON Web Tokens (RFC 7519) with ES384 signatures: minted and verified here, or signed with a caller's own key.

A token without `kid` in its header is verified with the server's key, one with `kid` with the imported key of that ARN.
The algorithm is always ES384 (ECDSA over P-384 with SHA-384, RFC 7518 section 3.4) and never chosen by the token. The
payload is read by `token_payload.py`.

Verifying a P-384 signature takes 0.9 ms, more than all the rest of a request. Four things bound it:

* A token that this authority has minted is known by its digest, so its signature is not checked.
* A participant presents the same token for every connection, so verified tokens are cached. What can change is checked
  each time: the expiry, and whether the imported key still exists.
* Refused tokens are cached as well. A refusal that follows the check of the signature is final: ARNs of keys are never
  reused, and the rules of a payload do not change. A refusal because the key is unknown is not, and is not cached.
* A client that sends ever new invalid tokens is limited by its address, in the API. `is_known` says which tokens cost
  nothing.

Tokens are secrets: none is kept, logged or quoted in an error. The caches hold SHA-256 digests.
"""

import base64
import binascii
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stagebook.manager.tokens.deterministic_ecdsa import DeterministicEcdsa
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.manager.tokens.token_payload import read_connection, read_participant, write_participant
from stagebook.stage.arns import parse_arn
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.errors import MalformedArnError, TokenRefusal, TokenRefusedError
from stagebook.stage.json_depth import MAX_JSON_DEPTH, is_too_deep

ALGORITHM = "ES384"
TOKEN_SIZE_BYTES = 12 * 1024
"""Maximum size of a token. The largest that can be minted has 11 KiB: 1 KiB of attributes and a user id of 128
characters, all of them written as `\\u` escapes, in base64."""
CACHE_SIZE_TOKENS = 8_192
"""Verified tokens, and refused tokens, that are cached: each about 1 KiB, the attributes included."""
MINTED_TOKENS = 16_384
"""The newest minted tokens whose signatures are not checked: each about 150 bytes, as only the digest is kept."""
ATTRIBUTES_SIZE_BYTES = 1_024
CLOCK_SKEW_SECONDS = 300
"""How far the clock of a caller that signs tokens may be ahead of the server's. A later `iat` is refused, as it would
extend the maximum lifetime of 14 days."""

_PARTICIPANT, _CONNECTION = b"participant ", b"connection "
"""The kinds of tokens, in the keys of the caches."""
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

FindKey: TypeAlias = Callable[[str], ec.EllipticCurvePublicKey | None]
"""Returns the imported P-384 public key with an ARN, or None if there is none."""


def new_private_key_pem() -> bytes:
    """Return a new P-384 private key as PKCS #8 PEM, for the data folder. It is not encrypted: keep it 0600."""
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def no_imported_keys(_arn: str) -> None:
    """Find no key, so that only tokens of the server's own key are valid."""


class _Refusals:
    """The refusals of tokens that are final, by digest. The least recently used one is dropped."""

    def __init__(self, size_tokens: int) -> None:
        self._size_tokens = size_tokens
        self._by_digest: OrderedDict[bytes, tuple[TokenRefusal, str]] = OrderedDict()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._by_digest

    def require_none(self, digest: bytes) -> None:
        """Raise the refusal of a token again, if there is one."""
        refusal = self._by_digest.get(digest)
        if refusal is not None:
            self._by_digest.move_to_end(digest)
            raise _refused(*refusal)

    def add(self, digest: bytes, error: TokenRefusedError) -> None:
        # Not the error itself: its traceback would keep the frames of the request, and the token in them.
        self._by_digest[digest] = (error.refusal, str(error))
        if len(self._by_digest) > self._size_tokens:
            self._by_digest.popitem(last=False)


class JwtAuthority:
    """The TokenAuthority of this server: one private key, and bounded caches of verified and refused tokens."""

    def __init__(
        self,
        *,
        private_key_pem: bytes,
        endpoints: Endpoints,
        find_key: FindKey = no_imported_keys,
        attributes_size_bytes: int = ATTRIBUTES_SIZE_BYTES,
        cache_size_tokens: int = CACHE_SIZE_TOKENS,
        is_deterministic: bool = False,
    ) -> None:
        """Create an authority.

        `private_key_pem` is a key of `new_private_key_pem`; ValueError is raised for any other kind of key. `endpoints`
        are written into minted tokens and required in self-signed ones. `find_key` finds imported keys.
        `attributes_size_bytes` is the quota of attributes, in bytes of UTF-8. Each of the two caches holds
        `cache_size_tokens` tokens. With `is_deterministic`, equal claims have equal tokens.
        """
        key = serialization.load_pem_private_key(private_key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
            raise ValueError("the token key must be an ECDSA P-384 (secp384r1) private key in PEM form")
        self._private_key = key
        self._public_key = key.public_key()
        self._endpoints = endpoints
        self._find_key = find_key
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        if is_deterministic:
            self._jws.unregister_algorithm(ALGORITHM)
            self._jws.register_algorithm(ALGORITHM, DeterministicEcdsa(hashes.SHA384))
        self._minted: OrderedDict[bytes, None] = OrderedDict()
        self._verified: OrderedDict[bytes, Claims | ConnectionClaims] = OrderedDict()
        self._refusals = _Refusals(cache_size_tokens)
        self._attributes_size_bytes = attributes_size_bytes
        self._cache_size_tokens = cache_size_tokens

    def mint(self, claims: Claims) -> str:
        """Return a signed participant token for these claims. It is not encrypted: clients read its payload."""
        token = self._jws.encode(write_participant(claims, self._endpoints), self._private_key, algorithm=ALGORITHM)
        self._minted[_digest(token, _PARTICIPANT)] = None
        if len(self._minted) > MINTED_TOKENS:
            self._minted.popitem(last=False)
        return token

    def is_known(self, token: str) -> bool:
        """Return whether the verdict about a token's signature is cached, or needs no check of a signature.

        The token can be a participant token or a connection token.
        """
        if not _has_token_form(token):
            return True
        digests = (_digest(token, _PARTICIPANT), _digest(token, _CONNECTION))
        caches = (self._verified, self._refusals, self._minted)
        return any(digest in cache for digest in digests for cache in caches)

    def has_key(self, arn: str) -> bool:
        """Return whether the key of a self-signed token exists."""
        return self._find_key(arn) is not None

    def verify(self, token: str, *, now_ms: int | None) -> Claims:
        """Return the claims of a participant token that is valid at `now_ms`, in ms of Unix time.

        With None, the times in the token are not checked. Raises TokenRefusedError: MALFORMED, SIGNATURE, EXPIRED, or
        STAGE_MISMATCH when the topic is not the stage, or the key is not of the stage's account and region.
        """
        digest = _digest(token, _PARTICIPANT)
        claims = self._recall(digest)
        if not isinstance(claims, Claims):
            body, key_arn = self._open(token, digest)
            try:
                claims = read_participant(
                    body,
                    key_arn=key_arn,
                    endpoints=self._endpoints,
                    attributes_size_bytes=self._attributes_size_bytes,
                )
            except TokenRefusedError as error:
                self._refusals.add(digest, error)
                raise
            self._remember(digest, claims)
        _require_time(claims, now_ms)
        return claims

    def verify_connection(self, token: str, *, now_ms: int) -> ConnectionClaims:
        """Return the claims of a connection token that is valid at `now_ms`; raise TokenRefusedError as `verify` does.

        A connection token must be signed with an imported key: the server mints none.
        """
        digest = _digest(token, _CONNECTION)
        claims = self._recall(digest)
        if not isinstance(claims, ConnectionClaims):
            body, key_arn = self._open(token, digest)
            try:
                claims = _read_connection(body, key_arn, self._endpoints)
            except TokenRefusedError as error:
                self._refusals.add(digest, error)
                raise
            self._remember(digest, claims)
        _require_time(claims, now_ms)
        return claims

    def _open(self, token: str, digest: bytes) -> tuple[bytes, str | None]:
        """Return the payload of a token with a valid signature, and the ARN of the imported key that signed it.

        The ARN is None for the server's own key. Raises TokenRefusedError.
        """
        self._refusals.require_none(digest)
        if digest in self._minted:
            return _decoded(token.split(".")[1]), None
        if is_too_deep(_decoded(token.partition(".")[0])):
            raise _refused(TokenRefusal.MALFORMED, f"the token's header is nested deeper than {MAX_JSON_DEPTH} levels")
        try:
            header = self._jws.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _refused(TokenRefusal.MALFORMED, "the token's parts cannot be decoded") from None
        if header.get("alg") != ALGORITHM or header.get("typ", "JWT") != "JWT" or "crit" in header:
            raise _refused(TokenRefusal.SIGNATURE, f"the token's header must have typ JWT and alg {ALGORITHM}")
        key_arn = header.get("kid")
        key = self._public_key if key_arn is None else self._imported_key(key_arn)
        try:
            body: bytes = self._jws.decode(token, key, algorithms=[ALGORITHM])
        except jwt.PyJWTError:
            owner = "this server's key" if key_arn is None else "the key that it names (kid)"
            error = _refused(TokenRefusal.SIGNATURE, f"the token's signature is not of {owner}")
            self._refusals.add(digest, error)
            raise error from None
        return body, key_arn

    def _imported_key(self, arn: str) -> ec.EllipticCurvePublicKey:
        try:
            key = self._find_key(str(parse_arn(arn)))
        except MalformedArnError:
            key = None
        if key is None:
            raise _refused(TokenRefusal.SIGNATURE, "the token names a public key (kid) that does not exist")
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


def _has_token_form(token: str) -> bool:
    return len(token) <= TOKEN_SIZE_BYTES and _COMPACT.fullmatch(token) is not None


def _digest(token: str, kind: bytes) -> bytes:
    """Return the key of a token in the caches. The kinds of tokens have different keys, as their rules differ."""
    if not _has_token_form(token):
        raise _refused(
            TokenRefusal.MALFORMED, f"the token is not a JSON Web Token, or is longer than {TOKEN_SIZE_BYTES} bytes"
        )
    return hashlib.sha256(kind + token.encode("ascii")).digest()


def _decoded(part: str) -> bytes:
    """Return a part of a token without its base64url encoding; nothing if it is not encoded so."""
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        return b""


def _read_connection(body: bytes, key_arn: str | None, endpoints: Endpoints) -> ConnectionClaims:
    if key_arn is None:
        raise _refused(TokenRefusal.SIGNATURE, "a connection token must name the public key (kid) that verifies it")
    return read_connection(body, key_arn=key_arn, endpoints=endpoints)


def _require_time(claims: Claims | ConnectionClaims, now_ms: int | None) -> None:
    if now_ms is None:
        return
    if now_ms >= claims.expires_at_seconds * 1_000:
        raise _refused(TokenRefusal.EXPIRED, "the token has expired")
    if claims.key_arn is not None and (claims.issued_at_seconds or 0) * 1_000 > now_ms + CLOCK_SKEW_SECONDS * 1_000:
        raise _refused(
            TokenRefusal.MALFORMED, f"the token's iat is more than {CLOCK_SKEW_SECONDS} seconds in the future"
        )


def _refused(refusal: TokenRefusal, detail: str) -> TokenRefusedError:
    return TokenRefusedError(refusal=refusal, detail=detail)
