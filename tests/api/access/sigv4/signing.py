"""Helpers for tests of the signature verifier."""

from urllib.parse import quote

import msgspec
import pytest

from stagebook.api.access.sigv4.authorization_header import SignatureRefusedError
from stagebook.api.access.sigv4.credentials import AwsCredential, CredentialStore
from stagebook.api.access.sigv4.signature import SignatureVerifier
from stagebook.api.asgi import read_headers
from tests.api.aws.asgi_harness import (
    REGION,
    STAGE_ARN,
    FixedClock,
    Request,
    credential,
    signed,
)

TEMPORARY_CREDENTIAL = msgspec.structs.replace(credential(key_id="ASIATEMPORARY"), session_token="token")
TAGS_PATH = "/tags/" + quote(STAGE_ARN, safe="")


def new_verifier(
    *, clock: FixedClock | None = None, region: str = REGION, service: str = "ivs", keys: tuple[AwsCredential, ...] = ()
) -> SignatureVerifier:
    return SignatureVerifier(
        credentials=CredentialStore(keys or (credential(), TEMPORARY_CREDENTIAL)),
        clock=clock or FixedClock(),
        region=region,
        services=(service,),
    )


def verify(request: Request, verifier: SignatureVerifier | None = None) -> AwsCredential:
    """Return the credential that signed a request."""
    return _verify(request, verifier or new_verifier())[0]


def signed_query(request: Request) -> bytes:
    """Return the query of a request as it was signed."""
    return _verify(request, new_verifier())[1]


def _verify(request: Request, verifier: SignatureVerifier) -> tuple[AwsCredential, bytes]:
    headers = read_headers(request.headers)
    claim = verifier.read_claim(query=request.query, headers=headers)
    query = verifier.verify(
        claim,
        method=request.method,
        raw_path=request.raw_path,
        query=request.query,
        headers=headers,
        body=request.body,
    )
    return claim.context.credential, query


def refusal(request: Request, verifier: SignatureVerifier | None = None) -> SignatureRefusedError:
    with pytest.raises(SignatureRefusedError) as refused:
        verify(request, verifier)
    return refused.value


def with_header(request: Request, name: bytes, value: bytes | None) -> Request:
    lines = tuple((key, line) for key, line in request.headers if key != name)
    return msgspec.structs.replace(request, headers=lines if value is None else (*lines, (name, value)))


FULL_REQUEST = signed(
    "POST",
    f"{TAGS_PATH}?tagKeys=one",
    body=b'{"a": 1}',
    headers={"content-type": "application/json", "x-amz-note": "a note"},
    key_id=TEMPORARY_CREDENTIAL.access_key_id,
    token=TEMPORARY_CREDENTIAL.session_token,
)
"""A signed request with a path label, a query, a body, a session token and a further header field."""
