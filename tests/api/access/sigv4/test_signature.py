"""Signature Version 4: requests that botocore's signer signs are accepted."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.api.access.sigv4.signature import MAXIMUM_CACHED, MAXIMUM_CACHED_BYTES
from tests.api.access.sigv4.signing import TAGS_PATH, new_verifier, refusal, signed_query, verify, with_header
from tests.api.aws.asgi_harness import (
    KEY_ID,
    NOW,
    STAGE_ARN,
    FixedClock,
    Request,
    credential,
    signed,
    signed_call,
)


def javascript_headers() -> Mapping[str, str]:
    """Return the header fields that the AWS SDK for JavaScript adds and signs."""
    return {
        "content-type": "application/json",
        "content-length": "2",
        "x-amz-user-agent": "aws-sdk-js/3.400.0",
        "amz-sdk-invocation-id": "4ee6a1d0-39c1-4f5c-8f4e-2d5f1f9a3f33",
        "amz-sdk-request": "attempt=1; max=3",
        "x-amz-content-sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    }


CLIENTS = {
    "boto3": signed_call("ListStages"),
    "javascript": signed("POST", "/ListStages", body=b"{}", headers=javascript_headers()),
    "no body": signed("GET", TAGS_PATH),
    "a query": signed("DELETE", f"{TAGS_PATH}?tagKeys=a%20b&tagKeys=%C3%A9&tagKeys=a%2Bb"),
    "an unencoded path": signed("GET", f"/tags/{STAGE_ARN}"),
    "blanks in a header": signed("POST", "/ListStages", headers={"x-amz-note": "  two   blanks\tand a tab  "}),
    "a large body": signed("POST", "/ListStages", body=b"\x00\xff" * 100_000),
    "dots in the path": signed("GET", "/tags/../ListStages/./x//y/"),
}


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_requests_that_botocore_signs_are_accepted(client: str) -> None:
    verifier = new_verifier()

    assert verify(CLIENTS[client], verifier) == credential()
    assert verify(CLIENTS[client], verifier) == credential(), "the second time, the header field is cached"


def test_a_request_with_session_credentials_is_accepted() -> None:
    keys = (msgspec.structs.replace(credential(), session_token="AQoDYXdzEJr//token=="),)
    verifier = new_verifier(keys=keys)
    request = signed("POST", "/ListStages", body=b"{}", token="AQoDYXdzEJr//token==")

    assert verify(request, verifier) == keys[0]
    assert verify(request, verifier) == keys[0], "the second time, the header field is cached"


@pytest.mark.parametrize(
    ("sent", "signed_as"),
    [("a%20b", "a%20b"), ("a+b", "a%2Bb"), ("a+b", "a%20b"), ("a%20b+c", "a%20b%20c")],
)
def test_a_plus_sign_in_the_query_means_what_was_signed(sent: str, signed_as: str) -> None:
    """Clients sign a plus sign as itself or as a space. Both send the same bytes."""
    request = signed("DELETE", f"{TAGS_PATH}?tagKeys={signed_as}")
    request = msgspec.structs.replace(request, query=f"tagKeys={sent}".encode())

    assert unquote_to_bytes(signed_query(request)) == unquote_to_bytes(f"tagKeys={signed_as}")


@pytest.mark.parametrize(
    ("method", "query", "signature"),
    [
        ("GET", b"", b"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", b"", b"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", b"Param2=value2&Param1=value1", b"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ],
)
def test_signatures_of_the_published_test_suite_are_accepted(method: str, query: bytes, signature: bytes) -> None:
    """get-vanilla, post-vanilla and get-vanilla-query-order-key-case."""
    moment = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    authorization = (
        b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        b"SignedHeaders=host;x-amz-date, Signature=" + signature
    )
    request = Request(
        method=method,
        raw_path=b"/",
        query=query,
        headers=(
            (b"host", b"example.amazonaws.com"),
            (b"x-amz-date", b"20150830T123600Z"),
            (b"authorization", authorization),
        ),
    )

    assert (
        verify(request, new_verifier(clock=FixedClock(moment), region="us-east-1", service="service")) == credential()
    )


SAFE_TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)
HEADER_NAME = st.from_regex(r"x-[a-z]{1,8}", fullmatch=True)


@settings(max_examples=150)
@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    segments=st.lists(st.text(max_size=8) | st.sampled_from([".", "..", "", "a:b"]), max_size=4),
    query=st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=4),
    headers=st.dictionaries(HEADER_NAME, SAFE_TEXT, max_size=4),
    body=st.binary(max_size=64),
)
def test_any_request_that_botocore_signs_is_accepted(
    method: str, segments: list[str], query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    path = "/" + "/".join(quote(segment, safe=":") for segment in segments)
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)

    request = signed(method, f"{path}?{pairs}" if pairs else path, headers=headers, body=body)

    assert verify(request) == credential()


def test_each_access_key_has_its_own_credential() -> None:
    keys = (credential(), credential(key_id="AKIDSECOND", account_id="999999999999"))
    verifier = new_verifier(keys=keys)

    for _ in range(2):
        assert verify(signed_call("ListStages"), verifier).account_id == "123456789012"
        assert verify(signed_call("ListStages", key_id="AKIDSECOND"), verifier).account_id == "999999999999"


def test_whitespace_after_the_signature_is_ignored() -> None:
    request = signed_call("ListStages")
    verifier = new_verifier()

    for _ in range(2):
        assert (
            verify(with_header(request, b"authorization", request.header_map[b"authorization"] + b"  "), verifier)
            == credential()
        )


def test_the_parameters_of_the_header_may_come_in_any_order() -> None:
    request = signed_call("ListStages")
    algorithm, _, rest = request.header_map[b"authorization"].partition(b" ")
    turned = algorithm + b" " + b",".join(reversed([part.strip() for part in rest.split(b",")]))
    verifier = new_verifier()

    for _ in range(2):
        assert verify(with_header(request, b"authorization", turned), verifier).access_key_id == KEY_ID


def test_the_cache_is_bounded() -> None:
    verifier = new_verifier()
    for number in range(MAXIMUM_CACHED + 10):
        verify(signed("POST", "/ListStages", headers={f"x-{number}": "x"}), verifier)

    assert 0 < len(verifier._contexts) <= MAXIMUM_CACHED
    assert len(verifier._signing_keys) == 1


def test_a_long_header_field_is_not_cached() -> None:
    request = signed_call("ListStages")
    value = request.header_map[b"authorization"]
    scheme, _, parameters = value.partition(b" ")
    long = scheme + b" Padding=" + b"x" * MAXIMUM_CACHED_BYTES + b", " + parameters
    verifier = new_verifier()

    assert verify(with_header(request, b"authorization", long), verifier) == credential()
    assert not verifier._contexts


def test_unauthenticated_requests_do_not_fill_the_cache() -> None:
    verifier = new_verifier()
    for number in range(20):
        refusal(signed("POST", "/ListStages", headers={f"x-{number}": "x"}, secret="wrong"), verifier)
        refusal(signed("POST", "/ListStages", moment=NOW - timedelta(days=number + 1)), verifier)

    assert not verifier._contexts
    assert len(verifier._signing_keys) == 1
