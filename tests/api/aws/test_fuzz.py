"""Arbitrary requests, signed or not: no request causes an internal error."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stagebook.api.aws.aws_api import AwsApi
from tests.api.aws.asgi_harness import ReceivedResponse, Request, credential, new_api, operations, send_request, signed
from tests.api.aws.model_rules import OPERATIONS, SHAPES

ALL_OPERATIONS = operations(**{name: (None, lambda _call: b"{}") for name in OPERATIONS})
PATHS = st.sampled_from([f"/{name}" for name in OPERATIONS] + ["/tags/x", "/tags/arn%3Aaws", "/", "/x"])
ASCII = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30).map(lambda text: text.encode())
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "X"])
HEADER_NAMES = st.sampled_from(
    [
        b"host", b"authorization", b"x-amz-date", b"x-amz-content-sha256", b"x-amz-security-token", b"content-type",
        b"content-length", b"origin", b"access-control-request-method", b"access-control-request-headers", b"x-other",
    ]
)  # fmt: skip
AUTHORIZATION = (
    b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20230426/us-west-2/ivs/aws4_request, "
    b"SignedHeaders=host;x-amz-date, Signature=00"
)
HEADER_VALUES = (
    st.binary(max_size=60)
    | ASCII
    | st.sampled_from(
        [
            b"20230426T203628Z",
            b"application/json",
            AUTHORIZATION,
        ]
    )
)


@pytest.fixture(scope="module")
def authenticated_api() -> AwsApi:
    return new_api(ALL_OPERATIONS, allowed_origins=["https://app.example.com"])


@pytest.fixture(scope="module")
def unauthenticated_api() -> AwsApi:
    return new_api(ALL_OPERATIONS, unsigned_as=credential(), allowed_origins=["*"])


async def response_without_internal_error(api: AwsApi, request: Request) -> ReceivedResponse:
    with capture_logs() as logs:
        response = await send_request(api, request)
    assert response.status < 500
    assert not logs
    assert (response.status == 200) == ("x-amzn-errortype" not in response.headers)
    if response.status != 200:
        assert response.message
    return response


@settings(max_examples=200)
@given(
    method=METHODS,
    path=PATHS.map(lambda text: text.encode()) | st.binary(max_size=30),
    query=st.binary(max_size=30),
    headers=st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=8),
    body=st.binary(max_size=100),
)
async def test_arbitrary_requests(
    authenticated_api: AwsApi,
    unauthenticated_api: AwsApi,
    method: str,
    path: bytes,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    request = Request(method=method, raw_path=path, query=query, headers=tuple(headers), body=body)

    response = await response_without_internal_error(authenticated_api, request)
    assert response.status != 200 or method == "OPTIONS", "a request without a signature succeeded"
    await response_without_internal_error(unauthenticated_api, request)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)
MEMBER_NAMES = st.sampled_from(sorted({m for shape in SHAPES.values() for m in shape.get("members", {})}))


def encoded_query(query: bytes) -> str:
    """Return a query string whose names and values are encoded, as clients send it: botocore signs it as it is."""
    return "&".join("=".join(quote(text, safe="") for text in part.split(b"=", 1)) for part in query.split(b"&"))


@settings(max_examples=200)
@given(
    operation=st.sampled_from(sorted(OPERATIONS)),
    document=st.dictionaries(MEMBER_NAMES, ANY_JSON, max_size=5) | ANY_JSON,
    label=st.text(max_size=20),
    query=st.binary(max_size=20),
)
async def test_arbitrary_documents_of_a_signed_caller(
    authenticated_api: AwsApi, operation: str, document: object, label: str, query: bytes
) -> None:
    http = OPERATIONS[operation]["http"]
    path = http["requestUri"].replace("{resourceArn}", quote(label, safe=""))
    suffix = "?" + encoded_query(query) if query else ""

    request = signed(http["method"], path + suffix, body=json.dumps(document).encode())

    response = await response_without_internal_error(authenticated_api, request)
    assert response.status in (200, 400, 403)
    assert "signature" not in response.body.decode().lower()


@settings(max_examples=100)
@given(body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-16")))
async def test_arbitrary_bodies_of_a_signed_caller(authenticated_api: AwsApi, body: bytes) -> None:
    response = await response_without_internal_error(authenticated_api, signed("POST", "/CreateStage", body=body))

    assert response.status in (200, 400)
