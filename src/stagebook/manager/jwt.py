"""Participant tokens as JSON Web Tokens: ES384 over P-384, signed and checked with the server's own key.

Owns the form of a token (RFC 7519, RFC 7515, and the token structure on the page "Distribute Tokens" of the IVS
Real-Time user guide). Must not know connections, events or what a participant may do next. Tokens are secrets: none
is kept, logged or quoted in an error; the cache remembers digests.
"""

import hashlib
import re
from collections import OrderedDict

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stagebook.manager.tokens import Endpoints
from stagebook.stage.arns import parse_arn
from stagebook.stage.claims import Claims
from stagebook.stage.errors import MalformedArnError, TokenRefusal, TokenRefusedError
from stagebook.stage.resources import Capability

ALGORITHM = "ES384"
VERSION = "1.0"
TOKEN_SIZE_BYTES = 12 * 1024
"""Room for the largest token there can be: 1 KiB of attributes and 128 characters of user id, all of them escaped."""
CACHE_SIZE_TOKENS = 8_192
LIFETIME_SECONDS = 14 * 24 * 3_600
ATTRIBUTES_SIZE_BYTES = 1_024
USER_ID_LENGTH = 128

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_PARTICIPANT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class _Capabilities(msgspec.Struct, frozen=True, omit_defaults=True):
    allow_publish: bool = False
    allow_subscribe: bool = False


class _Payload(msgspec.Struct, frozen=True, omit_defaults=True):
    """The members of a token's payload. Others are ignored, as RFC 7519 section 4 asks."""

    exp: int
    jti: str
    resource: str
    topic: str
    events_url: str
    whip_url: str
    capabilities: _Capabilities
    version: str
    iat: int | None = None
    user_id: str | None = None
    attributes: dict[str, str] | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Payload)


def new_private_key_pem() -> bytes:
    """Return a new P-384 private key as PKCS #8 PEM, for the data folder. It is not encrypted: keep it 0600."""
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class JwtAuthority:
    """The TokenAuthority of this server: one private key, and a bounded memory of signatures already checked.

    Verifying a P-384 signature is slow beside everything else a request costs, and a participant shows the same token
    for every connection. Expiry is checked every time.
    """

    def __init__(
        self,
        *,
        private_key_pem: bytes,
        endpoints: Endpoints,
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
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()
        self._attributes_size_bytes = attributes_size_bytes
        self._cache_size_tokens = cache_size_tokens

    def mint(self, claims: Claims) -> str:
        """Return a signed token for these claims, readable without a key by the clients that look into it."""
        payload = _Payload(
            exp=claims.expires_at_seconds,
            iat=claims.issued_at_seconds,
            jti=claims.participant_id,
            resource=claims.stage_arn,
            topic=claims.stage_arn.rpartition("/")[2],
            events_url=self._endpoints.events,
            whip_url=self._endpoints.whip,
            capabilities=_Capabilities(
                allow_publish=Capability.PUBLISH in claims.capabilities,
                allow_subscribe=Capability.SUBSCRIBE in claims.capabilities,
            ),
            version=VERSION,
            user_id=claims.user_id or None,
            attributes=claims.attributes or None,
        )
        return self._jws.encode(_encoder.encode(payload), self._private_key, algorithm=ALGORITHM)

    def verify(self, token: str, *, now_ms: int | None) -> Claims:
        """Return the claims of a token whose signature, form and expiry are right at `now_ms` (None: whenever).

        Raises TokenRefusedError: MALFORMED, SIGNATURE, EXPIRED, or STAGE_MISMATCH when its topic is not its stage.
        """
        if len(token) > TOKEN_SIZE_BYTES or _COMPACT.fullmatch(token) is None:
            raise _refused(TokenRefusal.MALFORMED, "the token is not a JSON Web Token of acceptable size")
        digest = hashlib.sha256(token.encode("ascii")).digest()
        claims = self._verified.get(digest)
        if claims is None:
            claims = _read_claims(self._verify_signature(token), self._attributes_size_bytes)
            self._remember(digest, claims)
        else:
            self._verified.move_to_end(digest)
        if now_ms is not None and now_ms >= claims.expires_at_seconds * 1_000:
            raise _refused(TokenRefusal.EXPIRED, "the token has expired")
        return claims

    def _verify_signature(self, token: str) -> bytes:
        """Return the payload of a token that this server signed. The algorithm is ours to say, not the token's."""
        try:
            header = self._jws.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _refused(TokenRefusal.MALFORMED, "the token's parts cannot be decoded") from None
        if "kid" in header:
            # Tokens signed by a caller's own key name it here; no such keys can be imported yet.
            raise _refused(TokenRefusal.SIGNATURE, "the token names a public key (kid) that is not known here")
        if header.get("alg") != ALGORITHM or header.get("typ", "JWT") != "JWT":
            raise _refused(TokenRefusal.SIGNATURE, f"the token's header must say typ JWT and alg {ALGORITHM}")
        try:
            payload: bytes = self._jws.decode(token, self._public_key, algorithms=[ALGORITHM])
        except jwt.PyJWTError:
            raise _refused(TokenRefusal.SIGNATURE, "the token's signature is not of this server's key") from None
        return payload

    def _remember(self, digest: bytes, claims: Claims) -> None:
        self._verified[digest] = claims
        if len(self._verified) > self._cache_size_tokens:
            self._verified.popitem(last=False)


def _refused(refusal: TokenRefusal, detail: str) -> TokenRefusedError:
    return TokenRefusedError(refusal=refusal, detail=detail)


def _read_claims(body: bytes, attributes_maximum_bytes: int) -> Claims:
    """Return the claims of a signed payload; raise TokenRefusedError when a member breaks its rule."""
    try:
        payload = _decoder.decode(body)
        arn = parse_arn(payload.resource)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _refused(TokenRefusal.MALFORMED, "the token lacks a member or has one of a wrong type") from None
    except MalformedArnError:
        raise _refused(TokenRefusal.MALFORMED, "the token's resource is not a stage ARN") from None
    broken = _broken_rule(payload, attributes_maximum_bytes)
    if broken is not None:
        raise _refused(TokenRefusal.MALFORMED, broken)
    if arn.resource_type != "stage" or arn.resource_id != payload.topic:
        raise _refused(TokenRefusal.STAGE_MISMATCH, "the token's topic is not the stage that its resource names")
    return Claims(
        participant_id=payload.jti,
        stage_arn=payload.resource,
        capabilities=_capabilities(payload.capabilities),
        user_id=payload.user_id or "",
        attributes=payload.attributes or {},
        issued_at_seconds=payload.iat,
        expires_at_seconds=payload.exp,
    )


def _broken_rule(payload: _Payload, attributes_maximum_bytes: int) -> str | None:
    """Return the first rule of the user guide's token schema that the payload breaks, or None."""
    attributes_size_bytes = sum(
        len(text.encode("utf-8")) for pair in (payload.attributes or {}).items() for text in pair
    )
    rules = (
        (payload.version == VERSION, f"the token's version must be {VERSION}"),
        (_PARTICIPANT_ID.fullmatch(payload.jti) is not None, "the token's jti must be 1 to 64 of [A-Za-z0-9_-]"),
        (0 < payload.exp < 1 << 40, "the token's exp must be a time in Unix seconds"),
        (
            payload.iat is None or 0 <= payload.exp - payload.iat <= LIFETIME_SECONDS,
            "the token's exp must be at most 14 days after its iat",
        ),
        (len(payload.user_id or "") <= USER_ID_LENGTH, f"the token's user_id exceeds {USER_ID_LENGTH} characters"),
        (attributes_size_bytes <= attributes_maximum_bytes, f"the attributes exceed {attributes_maximum_bytes} bytes"),
    )
    return next((text for holds, text in rules if not holds), None)


def _capabilities(given: _Capabilities) -> frozenset[Capability]:
    pairs = ((Capability.PUBLISH, given.allow_publish), (Capability.SUBSCRIBE, given.allow_subscribe))
    return frozenset(capability for capability, allowed in pairs if allowed)
