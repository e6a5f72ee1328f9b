"""Who signed a request: AWS Signature Version 4, verified.

Knows keys and the clock, nothing of operations and policies. Signatures in the query string (presigned URLs) are not
part of this service. Sources: "AWS Signature Version 4 for API requests" in the IAM user guide; the error texts
follow what AWS answers.
"""

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

import msgspec

from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.sigv4.authorization_header import ALGORITHM, TERMINATOR, Authorization, parse_authorization
from stagebook.api.aws.sigv4.canonical_request import canonical_request, canonical_value
from stagebook.api.aws.sigv4.credentials import Credential, Credentials
from stagebook.stage.clock import Clock

MAXIMUM_SKEW_SECONDS = 300
MAXIMUM_CACHED = 1_024

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """What an Authorization header says before its signature: whose key, for which day, over which headers."""

    credential: Credential
    scope: bytes
    date: bytes
    signed_headers: tuple[bytes, ...]


class SignatureVerifier:
    """Verifies signatures made for one region and one service."""

    def __init__(self, *, credentials: Credentials, clock: Clock, region: str, service: str) -> None:
        self._credentials = credentials
        self._clock = clock
        self._region = region.encode()
        self._service = service.encode()
        # Clients repeat all of their header but the signature for a day. Only verified ones get in, and a full cache
        # is emptied.
        self._signers: dict[bytes, Signer] = {}
        self._signing_keys: dict[tuple[str, bytes], hmac.HMAC] = {}
        self._dates: dict[bytes | None, int] = {}

    def verify(
        self, *, method: str, raw_path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> Credential:
        """Return whose signature the request bears.

        `raw_path` is the path as sent, undecoded; `headers` has lower-case names, lines of one name joined by commas.
        Raises AwsError: MissingAuthenticationToken, IncompleteSignature, UnrecognizedClient or InvalidSignature.
        """
        header = headers.get(b"authorization")
        if header is None:
            raise _no_authorization(query)
        unsigned_part, _, signature = header.rpartition(b"Signature=")
        signer = self._signers.get(unsigned_part)
        is_new = signer is None
        if signer is None:
            authorization = parse_authorization(header)
            signer, signature = self._signer(authorization), authorization.signature
        date = canonical_value(headers.get(b"x-amz-date", b""))
        self._check_skew(date)
        if date[:8] != signer.date:
            raise AwsError(ErrorType.INVALID_SIGNATURE, "The date in 'Credential' is not the day of 'X-Amz-Date'.")
        request = _request_hash(method, raw_path, query, headers, signer.signed_headers, body)
        expected = self._signing_key(signer).copy()
        expected.update(b"\n".join((ALGORITHM, date, signer.scope, request)))
        if not hmac.compare_digest(expected.hexdigest().encode(), signature.strip()):
            raise AwsError(ErrorType.INVALID_SIGNATURE, _MISMATCH)
        if is_new and header == unsigned_part + b"Signature=" + signature:
            _remember(self._signers, unsigned_part, signer)
        return signer.credential

    def _check_skew(self, date: bytes) -> None:
        signed_ms = self._dates.get(date)
        if signed_ms is None:
            signed_ms = _milliseconds(date)
            _remember(self._dates, date, signed_ms)
        now_ms = self._clock.now_ms()
        if now_ms - signed_ms > MAXIMUM_SKEW_SECONDS * 1_000:
            trouble = "Signature expired: {} is more than 5 minutes before {}."
        elif signed_ms - now_ms > MAXIMUM_SKEW_SECONDS * 1_000:
            trouble = "Signature not yet current: {} is more than 5 minutes after {}."
        else:
            return
        raise AwsError(ErrorType.INVALID_SIGNATURE, trouble.format(date.decode(), _date_text(now_ms)))

    def _signer(self, authorization: Authorization) -> Signer:
        credential = self._credentials.find(authorization.access_key_id)
        if credential is None:
            raise AwsError(ErrorType.UNRECOGNIZED_CLIENT, "The security token included in the request is invalid.")
        for what, wanted, given in (
            ("the region of this server", self._region, authorization.region),
            ("the correct service", self._service, authorization.service),
            ("a valid terminator", TERMINATOR, authorization.terminator),
        ):
            if given != wanted:
                text = f"Credential should be scoped to {what}: '{wanted.decode()}'."
                raise AwsError(ErrorType.INVALID_SIGNATURE, text)
        return Signer(
            credential=credential,
            scope=authorization.scope,
            date=authorization.date,
            signed_headers=authorization.signed_headers,
        )

    def _signing_key(self, signer: Signer) -> hmac.HMAC:
        # Region and service are this verifier's own by now, so the key id and the day say which key it is.
        cached = (signer.credential.access_key_id, signer.date)
        key = self._signing_keys.get(cached)
        if key is None:
            secret = b"AWS4" + signer.credential.secret_access_key.encode()
            for part in signer.scope.split(b"/"):
                secret = hmac.digest(secret, part, "sha256")
            key = hmac.new(secret, digestmod="sha256")
            _remember(self._signing_keys, cached, key)
        return key


def _remember(cache: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(cache) >= MAXIMUM_CACHED:
        cache.clear()
    cache[key] = value


def _request_hash(
    method: str,
    raw_path: bytes,
    query: bytes,
    headers: Mapping[bytes, bytes],
    signed_headers: tuple[bytes, ...],
    body: bytes,
) -> bytes:
    payload_hash = sha256(body).hexdigest().encode()
    stated = headers.get(b"x-amz-content-sha256")
    if stated is not None and stated.strip() != payload_hash:
        raise AwsError(
            ErrorType.INVALID_SIGNATURE, "The value of 'X-Amz-Content-Sha256' is not the SHA-256 of the request's body."
        )
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
        raise AwsError(ErrorType.INVALID_SIGNATURE, f"The signed header '{name}' is not in the request.") from None
    return sha256(request).hexdigest().encode()


def _no_authorization(query: bytes) -> AwsError:
    if b"X-Amz-Signature=" in query or b"X-Amz-Algorithm=" in query:
        return AwsError(
            ErrorType.INCOMPLETE_SIGNATURE,
            "Signatures in the query string are not supported: sign the request with an Authorization header.",
        )
    return AwsError(ErrorType.MISSING_AUTHENTICATION_TOKEN, "Missing Authentication Token")


def _milliseconds(date: bytes) -> int:
    text = date.decode("latin-1")
    try:
        if _DATE.fullmatch(text) is None:
            raise ValueError(text)
        moment = datetime.strptime(text, _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise AwsError(
            ErrorType.INCOMPLETE_SIGNATURE,
            "Authorization header requires an 'X-Amz-Date' header of the form yyyymmddThhmmssZ.",
        ) from None
    return int(moment.timestamp()) * 1_000


def _date_text(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1_000, UTC).strftime(_DATE_FORMAT)
