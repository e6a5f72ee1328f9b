"""Signature Version 4: what botocore's own signer signs is taken, and nothing else is."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.doors.aws.credentials import Credential, Credentials
from stagebook.doors.aws.errors import AwsError, ErrorType
from stagebook.doors.aws.headers import read_headers
from stagebook.doors.aws.signature import MAXIMUM_CACHED, SignatureVerifier
from tests.doors.aws.wire.harness import (
    HOST,
    KEY_ID,
    NOW,
    REGION,
    SECRET,
    STAGE_ARN,
    FixedClock,
    Request,
    credential,
    signed,
    signed_call,
)

TAGS_PATH = "/tags/" + quote(STAGE_ARN, safe="")


def new_verifier(
    *, clock: FixedClock | None = None, region: str = REGION, service: str = "ivs", keys: tuple[Credential, ...] = ()
) -> SignatureVerifier:
    return SignatureVerifier(
        credentials=Credentials(keys or (credential(),)), clock=clock or FixedClock(), region=region, service=service
    )


def verify(request: Request, verifier: SignatureVerifier | None = None) -> Credential:
    return (verifier or new_verifier()).verify(
        method=request.method,
        raw_path=request.raw_path,
        query=request.query,
        headers=read_headers(request.headers),
        body=request.body,
    )


def refusal(request: Request, verifier: SignatureVerifier | None = None) -> AwsError:
    with pytest.raises(AwsError) as refused:
        verify(request, verifier)
    assert refused.value.status == 403
    return refused.value


def with_header(request: Request, name: bytes, value: bytes | None) -> Request:
    lines = tuple((key, line) for key, line in request.headers if key != name)
    return msgspec.structs.replace(request, headers=lines if value is None else (*lines, (name, value)))


def javascript_headers() -> Mapping[str, str]:
    """What the AWS SDK for JavaScript adds and signs."""
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
    "boto3 with session credentials": signed("POST", "/ListStages", body=b"{}", token="AQoDYXdzEJr//token=="),
    "javascript": signed("POST", "/ListStages", body=b"{}", headers=javascript_headers()),
    "no body": signed("GET", TAGS_PATH),
    "a query": signed("DELETE", f"{TAGS_PATH}?tagKeys=a%20b&tagKeys=%C3%A9&tagKeys=a%2Bb"),
    "an unencoded path": signed("GET", f"/tags/{STAGE_ARN}"),
    "blanks in a header": signed("POST", "/ListStages", headers={"x-amz-note": "  two   blanks\tand a tab  "}),
    "a large body": signed("POST", "/ListStages", body=b"\x00\xff" * 100_000),
    "dots in the path": signed("GET", "/tags/../ListStages/./x//y/"),
}


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_what_botocore_signs_is_taken(client: str) -> None:
    verifier = new_verifier()

    assert verify(CLIENTS[client], verifier) == credential()
    assert verify(CLIENTS[client], verifier) == credential(), "the second time goes another way"


@pytest.mark.parametrize(
    ("method", "query", "signature"),
    [
        ("GET", b"", b"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", b"", b"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", b"Param2=value2&Param1=value1", b"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ],
)
def test_the_published_test_suite_of_aws_is_taken(method: str, query: bytes, signature: bytes) -> None:
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
def test_any_request_that_botocore_signs_is_taken(
    method: str, segments: list[str], query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    path = "/" + "/".join(quote(segment, safe=":") for segment in segments)
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)

    request = signed(method, f"{path}?{pairs}" if pairs else path, headers=headers, body=body)

    assert verify(request) == credential()


ONE_OF_EACH = signed(
    "POST",
    f"{TAGS_PATH}?tagKeys=one",
    body=b'{"a": 1}',
    headers={"content-type": "application/json", "x-amz-note": "a note"},
    token="token",
)


def altered_bytes(value: bytes) -> list[bytes]:
    return [value[:i] + bytes([value[i] ^ 1]) + value[i + 1 :] for i in range(len(value))]


@pytest.mark.parametrize("part", ["raw_path", "query", "body"])
def test_every_altered_byte_of_the_request_is_refused(part: str) -> None:
    verifier = new_verifier()
    verify(ONE_OF_EACH, verifier)
    for altered in altered_bytes(getattr(ONE_OF_EACH, part)):
        error = refusal(msgspec.structs.replace(ONE_OF_EACH, **{part: altered}), verifier)
        assert error.error_type is ErrorType.INVALID_SIGNATURE


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    "name", [b"host", b"x-amz-date", b"content-type", b"x-amz-note", b"x-amz-security-token", b"authorization"]
)
def test_every_altered_byte_of_a_signed_header_is_refused(name: bytes, known: bool) -> None:  # noqa: FBT001 - a case
    verifier = new_verifier()
    if known:
        verify(ONE_OF_EACH, verifier)
    for altered in altered_bytes(ONE_OF_EACH.header_map[name]):
        refusal(with_header(ONE_OF_EACH, name, altered), verifier)


def test_another_method_is_refused() -> None:
    assert refusal(msgspec.structs.replace(ONE_OF_EACH, method="GET")).error_type is ErrorType.INVALID_SIGNATURE


@pytest.mark.parametrize("name", [b"content-type", b"x-amz-note", b"host", b"x-amz-security-token"])
def test_a_signed_header_that_was_taken_away_is_refused(name: bytes) -> None:
    error = refusal(with_header(ONE_OF_EACH, name, None))

    assert error.error_type is ErrorType.INVALID_SIGNATURE
    assert error.message == f"The signed header '{name.decode()}' is not in the request."


def test_a_signed_header_sent_twice_is_refused() -> None:
    doubled = msgspec.structs.replace(ONE_OF_EACH, headers=(*ONE_OF_EACH.headers, (b"x-amz-note", b"another")))

    assert refusal(doubled).error_type is ErrorType.INVALID_SIGNATURE


def test_unsigned_headers_may_come_and_go() -> None:
    assert verify(with_header(ONE_OF_EACH, b"x-forwarded-for", b"10.0.0.1")) == credential()


def test_no_signature_is_a_missing_authentication_token() -> None:
    error = refusal(Request(method="POST", raw_path=b"/ListStages", headers=((b"host", HOST.encode()),)))

    assert error.error_type is ErrorType.MISSING_AUTHENTICATION_TOKEN
    assert error.message == "Missing Authentication Token"


def test_a_presigned_query_is_told_to_use_the_header() -> None:
    query = b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x&X-Amz-Signature=00"

    error = refusal(Request(method="POST", raw_path=b"/ListStages", query=query))

    assert error.error_type is ErrorType.INCOMPLETE_SIGNATURE
    assert "query string" in error.message


def test_an_unknown_key_is_an_unrecognized_client() -> None:
    error = refusal(signed_call("ListStages", key_id="AKIDUNKNOWN"))

    assert error.error_type is ErrorType.UNRECOGNIZED_CLIENT
    assert error.message == "The security token included in the request is invalid."


def test_a_wrong_secret_is_an_invalid_signature() -> None:
    error = refusal(signed_call("ListStages", secret="not the secret"))

    assert error.error_type is ErrorType.INVALID_SIGNATURE
    assert error.message.startswith(
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method."
    )
    assert SECRET not in error.message


@pytest.mark.parametrize(
    ("region", "service", "told"),
    [
        ("us-east-1", "ivs", "Credential should be scoped to the region of this server: 'us-west-2'."),
        (REGION, "ivschat", "Credential should be scoped to the correct service: 'ivs'."),
    ],
)
def test_a_signature_for_elsewhere_is_refused(region: str, service: str, told: str) -> None:
    error = refusal(signed("POST", "/ListStages", region=region, service=service))

    assert (error.error_type, error.message) == (ErrorType.INVALID_SIGNATURE, told)


@pytest.mark.parametrize(
    ("skew_seconds", "told"),
    [(-301, "Signature expired: "), (-300, None), (0, None), (300, None), (301, "Signature not yet current: ")],
)
def test_a_signature_is_good_for_five_minutes_either_way(skew_seconds: int, told: str | None) -> None:
    request = signed("POST", "/ListStages", moment=NOW + timedelta(seconds=skew_seconds))

    if told is None:
        assert verify(request) == credential()
    else:
        error = refusal(request)
        assert error.error_type is ErrorType.INVALID_SIGNATURE
        assert error.message.startswith(told)


def test_a_good_signature_goes_stale() -> None:
    clock = FixedClock()
    verifier = new_verifier(clock=clock)
    request = signed_call("ListStages")
    verify(request, verifier)

    clock.time_ms += 300_001

    assert refusal(request, verifier).message.startswith("Signature expired: 20230426T203628Z ")


def test_signatures_work_across_midnight() -> None:
    midnight = datetime(2023, 4, 27, tzinfo=UTC)
    verifier = new_verifier(clock=FixedClock(midnight))

    for seconds in (-1, 0, 1, -1):
        assert (
            verify(signed("POST", "/ListStages", moment=midnight + timedelta(seconds=seconds)), verifier)
            == credential()
        )


def test_the_scope_must_be_of_the_day_of_the_date() -> None:
    midnight = datetime(2023, 4, 27, tzinfo=UTC)
    verifier = new_verifier(clock=FixedClock(midnight))
    before = signed("POST", "/ListStages", moment=midnight - timedelta(seconds=1))
    verify(before, verifier)

    error = refusal(with_header(before, b"x-amz-date", b"20230427T000000Z"), verifier)

    assert error.message == "The date in 'Credential' is not the day of 'X-Amz-Date'."


@pytest.mark.parametrize(
    "date", [None, b"", b"today", b"20230426", b"2023-04-26T20:36:28Z", b"20231326T203628Z", b"\xff" * 16]
)
def test_a_date_that_is_none_is_an_incomplete_signature(date: bytes | None) -> None:
    error = refusal(with_header(signed_call("ListStages"), b"x-amz-date", date))

    assert error.error_type is ErrorType.INCOMPLETE_SIGNATURE
    assert "X-Amz-Date" in error.message


def test_a_stated_body_hash_must_be_the_bodys() -> None:
    unsigned_payload = signed("POST", "/ListStages", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})

    error = refusal(unsigned_payload)

    assert error.error_type is ErrorType.INVALID_SIGNATURE
    assert "X-Amz-Content-Sha256" in error.message


def test_each_caller_is_told_apart() -> None:
    keys = (credential(), credential(key_id="AKIDSECOND", account_id="999999999999"))
    verifier = new_verifier(keys=keys)

    for _ in range(2):
        assert verify(signed_call("ListStages"), verifier).account_id == "123456789012"
        assert verify(signed_call("ListStages", key_id="AKIDSECOND"), verifier).account_id == "999999999999"


def test_blanks_behind_the_signature_do_not_matter() -> None:
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


def test_memory_stays_bounded() -> None:
    verifier = new_verifier()
    for number in range(MAXIMUM_CACHED + 10):
        verify(signed("POST", "/ListStages", headers={f"x-{number}": "x"}), verifier)

    assert 0 < len(verifier._signers) <= MAXIMUM_CACHED
    assert len(verifier._signing_keys) == 1


def test_strangers_do_not_fill_the_memory() -> None:
    verifier = new_verifier()
    for number in range(20):
        refusal(signed("POST", "/ListStages", headers={f"x-{number}": "x"}, secret="wrong"), verifier)
        refusal(signed("POST", "/ListStages", moment=NOW - timedelta(days=number + 1)), verifier)

    assert not verifier._signers
    assert len(verifier._signing_keys) == 1


@given(st.binary(max_size=120) | st.binary(max_size=60).map(lambda tail: b"AWS4-HMAC-SHA256 Credential=" + tail))
def test_arbitrary_authorization_headers_are_refused(value: bytes) -> None:
    refusal(with_header(signed_call("ListStages"), b"authorization", value))
