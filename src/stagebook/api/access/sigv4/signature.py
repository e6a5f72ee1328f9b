"""Verification of AWS Signature Version 4.

    signing key    = HMAC chain over secret, date, region, service, "aws4_request"
    string to sign = lines of algorithm, X-Amz-Date, credential scope, SHA-256 of the canonical request
    signature      = hex(HMAC-SHA256(signing key, string to sign))

A request is valid for five minutes before and after `X-Amz-Date`. Signatures in the query string (presigned URLs) are
not supported.

Verification has two steps, because the signature covers the body, and the body of an unauthenticated client should not
be received at all. `read_claim` checks what the head of a request alone can show to be wrong: no signature, an unknown
access key, a session token that is not that of the key, another region, an old date. `verify` checks the signature.
The id of an access key is not a secret, so the work of `verify` has a bound as well: MAXIMUM_QUERY_PARAMETERS, and each
header field once.

Sources: "AWS Signature Version 4 for API requests" in the IAM user guide. The messages are those of AWS.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

import msgspec

from stagebook.api.access.sigv4.authorization_header import (
    ALGORITHM,
    TERMINATOR,
    AuthorizationHeader,
    SignatureRefusal,
    SignatureRefusedError,
    parse_authorization,
)
from stagebook.api.access.sigv4.canonical_request import canonical_request, canonical_value
from stagebook.api.access.sigv4.credentials import AwsCredential, CredentialStore
from stagebook.stage.clock import Clock

MAXIMUM_SKEW_SECONDS = 300
MAXIMUM_CACHED = 1_024
MAXIMUM_CACHED_BYTES = 2_048
"""A longer header field is parsed for each request. SDKs sign some ten header fields."""
MAXIMUM_QUERY_PARAMETERS = 256
"""More than any operation has: UntagResource takes 50 tag keys."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_UNRECOGNIZED = "The security token included in the request is invalid."
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)


class SigningContext(msgspec.Struct, frozen=True, kw_only=True):
    """The checked parts of an Authorization header field that stay the same for a day: all but the signature."""

    credential: AwsCredential
    scope: bytes
    date: bytes
    signed_headers: tuple[bytes, ...]


class SignatureClaim(msgspec.Struct, frozen=True):
    """What the head of a request claims. Nothing of it is verified but the form, the date and the session token.

    `cache_key` is the part of the header field under which the context is cached once the signature was valid.
    """

    context: SigningContext
    date: bytes
    signature: bytes
    cache_key: bytes | None


class SignatureVerifier:
    """Verifies signatures for one region and `services`, whose first one the errors name.

    Parsing the header field and deriving the signing key cost more than the HMAC itself, so both are cached. A client
    sends the same header field for a day, except for the signature. A parsed header field is cached only after its
    first valid signature, so unauthenticated clients cannot fill the cache. A full cache is cleared.
    """

    def __init__(self, *, credentials: CredentialStore, clock: Clock, region: str, services: Sequence[str]) -> None:
        self._credentials = credentials
        self._clock = clock
        self._region = region.encode()
        self._services = tuple(service.encode() for service in services)
        self._contexts: dict[bytes, SigningContext] = {}
        self._signing_keys: dict[tuple[str, bytes], hmac.HMAC] = {}
        self._dates_ms: dict[bytes, int] = {}

    def read_claim(self, *, query: bytes, headers: Mapping[bytes, bytes]) -> SignatureClaim:
        """Return what the head of a request claims: who signed it, and when.

        `headers` has lower-case names, several lines of a name joined by commas. Raises SignatureRefusedError:
        MissingAuthenticationToken, IncompleteSignature, UnrecognizedClient or InvalidSignature.
        """
        header = headers.get(b"authorization")
        if header is None:
            raise _no_authorization(query)
        unsigned_part, _, signature = header.rpartition(b"Signature=")
        context = self._contexts.get(unsigned_part)
        cache_key = None
        if context is None:
            authorization = parse_authorization(header)
            context, signature = self._signing_context(authorization), authorization.signature
            # Cached only when Signature is the last parameter, because the lookup above cuts the header field there.
            if len(header) <= MAXIMUM_CACHED_BYTES and header == unsigned_part + b"Signature=" + signature:
                cache_key = unsigned_part
        _check_session_token(context.credential, headers.get(b"x-amz-security-token"))
        date = canonical_value(headers.get(b"x-amz-date", b""))
        self._check_skew(date)
        if date[:8] != context.date:
            raise SignatureRefusedError(
                SignatureRefusal.INVALID_SIGNATURE, "The date in 'Credential' is not the day of 'X-Amz-Date'."
            )
        return SignatureClaim(context, date, signature.strip(), cache_key)

    def verify(
        self,
        claim: SignatureClaim,
        *,
        method: str,
        raw_path: bytes,
        query: bytes,
        headers: Mapping[bytes, bytes],
        body: bytes,
    ) -> bytes:
        """Verify the signature of a request, and return its query as it was signed.

        A plus sign in a query stands for itself (RFC 3986) or for a space (HTML forms). Clients sign either, and send
        the same bytes; so the reading that was signed is the one that counts. In the returned query, a space is `%20`.
        `raw_path` and `query` are undecoded. Raises SignatureRefusedError InvalidSignature.
        """
        context = claim.context
        if query.count(b"&") >= MAXIMUM_QUERY_PARAMETERS:
            raise SignatureRefusedError(
                SignatureRefusal.INVALID_SIGNATURE, f"A query can have at most {MAXIMUM_QUERY_PARAMETERS} parameters."
            )
        payload_hash = _payload_hash(headers, body)
        readings = (query, query.replace(b"+", b"%20")) if b"+" in query else (query,)
        for signed_query in readings:
            request_hash = _request_hash(method, raw_path, signed_query, headers, context.signed_headers, payload_hash)
            # Copying a keyed HMAC is cheaper than deriving its two key blocks again.
            expected = self._signing_key(context).copy()
            expected.update(b"\n".join((ALGORITHM, claim.date, context.scope, request_hash)))
            if hmac.compare_digest(expected.hexdigest().encode(), claim.signature):
                if claim.cache_key is not None:
                    _cache(self._contexts, claim.cache_key, context)
                return signed_query
        raise SignatureRefusedError(SignatureRefusal.INVALID_SIGNATURE, _MISMATCH)

    def _check_skew(self, date: bytes) -> None:
        """Raise SignatureRefusedError unless `X-Amz-Date` is within the allowed skew of the clock."""
        signed_ms = self._dates_ms.get(date)
        if signed_ms is None:
            signed_ms = _milliseconds(date)
            _cache(self._dates_ms, date, signed_ms)
        now_ms = self._clock.now_ms()
        if now_ms - signed_ms > MAXIMUM_SKEW_SECONDS * 1_000:
            message = "Signature expired: {} is more than 5 minutes before {}."
        elif signed_ms - now_ms > MAXIMUM_SKEW_SECONDS * 1_000:
            message = "Signature not yet current: {} is more than 5 minutes after {}."
        else:
            return
        raise SignatureRefusedError(
            SignatureRefusal.INVALID_SIGNATURE, message.format(date.decode(), _date_text(now_ms))
        )

    def _signing_context(self, authorization: AuthorizationHeader) -> SigningContext:
        """Check the access key and the scope of a parsed header field."""
        credential = self._credentials.find(authorization.access_key_id)
        if credential is None:
            raise SignatureRefusedError(SignatureRefusal.UNRECOGNIZED_CLIENT, _UNRECOGNIZED)
        for what, expected, given in (
            ("the region of this server", (self._region,), authorization.region),
            ("the correct service", self._services, authorization.service),
            ("a valid terminator", (TERMINATOR,), authorization.terminator),
        ):
            if given not in expected:
                text = f"Credential should be scoped to {what}: '{expected[0].decode()}'."
                raise SignatureRefusedError(SignatureRefusal.INVALID_SIGNATURE, text)
        return SigningContext(
            credential=credential,
            scope=authorization.scope,
            date=authorization.date,
            signed_headers=authorization.signed_headers,
        )

    def _signing_key(self, context: SigningContext) -> hmac.HMAC:
        cache_key = (context.credential.access_key_id, context.scope)
        key = self._signing_keys.get(cache_key)
        if key is None:
            secret = b"AWS4" + context.credential.secret_access_key.encode()
            for part in context.scope.split(b"/"):
                secret = hmac.digest(secret, part, "sha256")
            key = hmac.new(secret, digestmod="sha256")
            _cache(self._signing_keys, cache_key, key)
        return key


def _cache(cached: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(cached) >= MAXIMUM_CACHED:
        cached.clear()
    cached[key] = value


def _check_session_token(credential: AwsCredential, given: bytes | None) -> None:
    """Raise SignatureRefusedError unless the session token is that of the credential; long-term keys have none."""
    expected = credential.session_token.encode()
    if (given is not None or expected) and not hmac.compare_digest(canonical_value(given or b""), expected):
        raise SignatureRefusedError(SignatureRefusal.UNRECOGNIZED_CLIENT, _UNRECOGNIZED)


def _payload_hash(headers: Mapping[bytes, bytes], body: bytes) -> bytes:
    # The hash is always computed. UNSIGNED-PAYLOAD, which S3 accepts, is refused as a wrong hash.
    payload_hash = sha256(body).hexdigest().encode()
    stated = headers.get(b"x-amz-content-sha256")
    if stated is not None and stated.strip() != payload_hash:
        raise SignatureRefusedError(
            SignatureRefusal.INVALID_SIGNATURE,
            "The value of 'X-Amz-Content-Sha256' is not the SHA-256 of the request's body.",
        )
    return payload_hash


def _request_hash(
    method: str,
    raw_path: bytes,
    query: bytes,
    headers: Mapping[bytes, bytes],
    signed_headers: tuple[bytes, ...],
    payload_hash: bytes,
) -> bytes:
    try:
        request = canonical_request(
            method=method,
            raw_path=raw_path,
            query=query,
            headers=headers,
            signed_headers=signed_headers,
            payload_hash=payload_hash,
        )
    except KeyError as absent:
        name = absent.args[0].decode("latin-1")
        raise SignatureRefusedError(
            SignatureRefusal.INVALID_SIGNATURE, f"The signed header '{name}' is not in the request."
        ) from None
    return sha256(request).hexdigest().encode()


def _no_authorization(query: bytes) -> SignatureRefusedError:
    if b"X-Amz-Signature=" in query or b"X-Amz-Algorithm=" in query:
        return SignatureRefusedError(
            SignatureRefusal.INCOMPLETE_SIGNATURE,
            "Signatures in the query string are not supported: sign the request with an Authorization header.",
        )
    return SignatureRefusedError(SignatureRefusal.MISSING_AUTHENTICATION_TOKEN, "Missing Authentication Token")


def _milliseconds(date: bytes) -> int:
    text = date.decode("latin-1")  # never fails, unlike UTF-8
    try:
        # strptime alone accepts fewer digits.
        if _DATE.fullmatch(text) is None:
            raise ValueError(text)
        moment = datetime.strptime(text, _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise SignatureRefusedError(
            SignatureRefusal.INCOMPLETE_SIGNATURE,
            "Authorization header requires an 'X-Amz-Date' header of the form yyyymmddThhmmssZ.",
        ) from None
    return int(moment.timestamp()) * 1_000


def _date_text(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1_000, UTC).strftime(_DATE_FORMAT)
