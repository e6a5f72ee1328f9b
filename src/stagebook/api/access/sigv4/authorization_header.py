"""Parsing the Authorization header field of AWS Signature Version 4, and the refusals of a signature.

    AWS4-HMAC-SHA256 Credential=<key id>/<yyyymmdd>/<region>/<service>/aws4_request,
                     SignedHeaders=<names>, Signature=<hex>

The parameters may be in any order. `SignedHeaders` has lower-case names, separated by semicolons.
Source: "Authorization header" under "AWS Signature Version 4 for API requests" in the IAM user guide.
"""

from enum import StrEnum

import msgspec

ALGORITHM = b"AWS4-HMAC-SHA256"
TERMINATOR = b"aws4_request"
MAXIMUM_SIGNED_HEADERS = 100  # bounds the work before a signature is known to be valid

_PARAMETERS = (b"Credential", b"SignedHeaders", b"Signature")
_CREDENTIAL_PARTS = 5
# Without `host`, a request could be replayed against another server; without `x-amz-date`, at any later time.
_REQUIRED_SIGNED_HEADERS = (b"host", b"x-amz-date")


class SignatureRefusal(StrEnum):
    """Why a signature was refused, by the names of the errors of AWS. Each API has its own response to it."""

    MISSING_AUTHENTICATION_TOKEN = "MissingAuthenticationTokenException"  # noqa: S105 - the name of an error
    INCOMPLETE_SIGNATURE = "IncompleteSignatureException"
    UNRECOGNIZED_CLIENT = "UnrecognizedClientException"
    INVALID_SIGNATURE = "InvalidSignatureException"


class SignatureRefusedError(Exception):
    """A request is not signed as it must be. `message` is shown to the caller and holds no secret."""

    def __init__(self, refusal: SignatureRefusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.message = message


class AuthorizationHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the value. `scope` is the credential scope as sent: `<yyyymmdd>/<region>/<service>/aws4_request`."""

    access_key_id: str
    date: bytes
    region: bytes
    service: bytes
    terminator: bytes
    scope: bytes
    signed_headers: tuple[bytes, ...]
    signature: bytes


def parse_authorization(header: bytes) -> AuthorizationHeader:
    """Return the parts of the value.

    Raises SignatureRefusedError: IncompleteSignature for a missing or malformed part, InvalidSignature when `host` or
    `x-amz-date` is not among the signed header fields.
    """
    parameters = _parameters(header)
    credential = parameters[b"Credential"].split(b"/")
    if len(credential) != _CREDENTIAL_PARTS:
        raise SignatureRefusedError(
            SignatureRefusal.INCOMPLETE_SIGNATURE,
            "Credential must have 5 elements, as in '<key id>/<yyyymmdd>/<region>/<service>/aws4_request'.",
        )
    key_id, date, region, service, terminator = credential
    return AuthorizationHeader(
        access_key_id=key_id.decode("latin-1"),
        date=date,
        region=region,
        service=service,
        terminator=terminator,
        scope=b"/".join(credential[1:]),
        signed_headers=_signed_headers(parameters[b"SignedHeaders"]),
        signature=parameters[b"Signature"],
    )


def _parameters(header: bytes) -> dict[bytes, bytes]:
    algorithm, _, rest = header.strip().partition(b" ")
    if algorithm != ALGORITHM:
        raise SignatureRefusedError(
            SignatureRefusal.INCOMPLETE_SIGNATURE, f"The Authorization header must begin with '{ALGORITHM.decode()}'."
        )
    # The separator is a comma with optional whitespace.
    parameters: dict[bytes, bytes] = {}
    for part in rest.split(b","):
        name, _, value = part.strip().partition(b"=")
        if name in _PARAMETERS and name in parameters:
            # Two parsers could take either.
            raise SignatureRefusedError(
                SignatureRefusal.INCOMPLETE_SIGNATURE, f"Authorization header must have '{name.decode()}' only once."
            )
        parameters[name] = value
    absent = [name.decode() for name in _PARAMETERS if not parameters.get(name)]
    if absent:
        raise SignatureRefusedError(
            SignatureRefusal.INCOMPLETE_SIGNATURE,
            " ".join(f"Authorization header requires '{name}' parameter." for name in absent),
        )
    return parameters


def _signed_headers(value: bytes) -> tuple[bytes, ...]:
    names = tuple(value.split(b";"))
    if len(names) > MAXIMUM_SIGNED_HEADERS:
        raise SignatureRefusedError(
            SignatureRefusal.INVALID_SIGNATURE, f"At most {MAXIMUM_SIGNED_HEADERS} headers can be signed."
        )
    # Each name costs work in proportion to its value, so a long one must not be named a hundred times.
    if len(set(names)) != len(names):
        raise SignatureRefusedError(SignatureRefusal.INVALID_SIGNATURE, "'SignedHeaders' must not name a header twice.")
    for name in _REQUIRED_SIGNED_HEADERS:
        if name not in names:
            raise SignatureRefusedError(
                SignatureRefusal.INVALID_SIGNATURE,
                f"'{name.decode()}' must be one of the 'SignedHeaders' of the request.",
            )
    return names
