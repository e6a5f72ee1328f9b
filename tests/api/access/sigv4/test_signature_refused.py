"""Signature Version 4: altered, expired and unsigned requests are refused, with the messages of AWS."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.access.sigv4.authorization_header import SignatureRefusal
from tests.api.access.sigv4.signing import (
    FULL_REQUEST,
    TEMPORARY_CREDENTIAL,
    new_verifier,
    refusal,
    verify,
    with_header,
)
from tests.api.aws.asgi_harness import (
    HOST,
    NOW,
    REGION,
    SECRET,
    FixedClock,
    Request,
    credential,
    signed,
    signed_call,
)
from tests.media.rtc.operation_count import count_operations


def altered_bytes(value: bytes) -> list[bytes]:
    return [value[:i] + bytes([value[i] ^ 1]) + value[i + 1 :] for i in range(len(value))]


@pytest.mark.parametrize("part", ["raw_path", "query", "body"])
def test_every_altered_byte_of_the_request_is_refused(part: str) -> None:
    verifier = new_verifier()
    verify(FULL_REQUEST, verifier)
    for altered in altered_bytes(getattr(FULL_REQUEST, part)):
        error = refusal(msgspec.structs.replace(FULL_REQUEST, **{part: altered}), verifier)
        assert error.refusal is SignatureRefusal.INVALID_SIGNATURE


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    "name", [b"host", b"x-amz-date", b"content-type", b"x-amz-note", b"x-amz-security-token", b"authorization"]
)
def test_every_altered_byte_of_a_signed_header_is_refused(name: bytes, known: bool) -> None:  # noqa: FBT001 - a parameter
    verifier = new_verifier()
    if known:
        verify(FULL_REQUEST, verifier)
    for altered in altered_bytes(FULL_REQUEST.header_map[name]):
        refusal(with_header(FULL_REQUEST, name, altered), verifier)


def test_a_query_of_many_parameters_is_refused_before_it_is_hashed() -> None:
    request = msgspec.structs.replace(FULL_REQUEST, query=b"&" * 60_000)
    count = count_operations(lambda: refusal(request))
    assert count < 5_000
    assert "256 parameters" in refusal(request).message


def test_another_method_is_refused() -> None:
    assert refusal(msgspec.structs.replace(FULL_REQUEST, method="GET")).refusal is SignatureRefusal.INVALID_SIGNATURE


@pytest.mark.parametrize("name", [b"content-type", b"x-amz-note", b"host"])
def test_a_missing_signed_header_is_refused(name: bytes) -> None:
    error = refusal(with_header(FULL_REQUEST, name, None))

    assert error.refusal is SignatureRefusal.INVALID_SIGNATURE
    assert error.message == f"The signed header '{name.decode()}' is not in the request."


def test_a_signed_header_sent_twice_is_refused() -> None:
    doubled = msgspec.structs.replace(FULL_REQUEST, headers=(*FULL_REQUEST.headers, (b"x-amz-note", b"another")))

    assert refusal(doubled).refusal is SignatureRefusal.INVALID_SIGNATURE


def test_unsigned_headers_are_ignored() -> None:
    assert verify(with_header(FULL_REQUEST, b"x-forwarded-for", b"10.0.0.1")) == TEMPORARY_CREDENTIAL


def test_no_signature_is_a_missing_authentication_token() -> None:
    error = refusal(Request(method="POST", raw_path=b"/ListStages", headers=((b"host", HOST.encode()),)))

    assert error.refusal is SignatureRefusal.MISSING_AUTHENTICATION_TOKEN
    assert error.message == "Missing Authentication Token"


def test_a_presigned_query_is_refused_with_a_hint() -> None:
    query = b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x&X-Amz-Signature=00"

    error = refusal(Request(method="POST", raw_path=b"/ListStages", query=query))

    assert error.refusal is SignatureRefusal.INCOMPLETE_SIGNATURE
    assert "query string" in error.message


def test_an_unknown_key_is_an_unrecognized_client() -> None:
    error = refusal(signed_call("ListStages", key_id="AKIDUNKNOWN"))

    assert error.refusal is SignatureRefusal.UNRECOGNIZED_CLIENT
    assert error.message == "The security token included in the request is invalid."


@pytest.mark.parametrize("token", [None, b"", b"another"])
def test_a_temporary_key_without_its_session_token_is_an_unrecognized_client(token: bytes | None) -> None:
    error = refusal(with_header(FULL_REQUEST, b"x-amz-security-token", token))

    assert error.refusal is SignatureRefusal.UNRECOGNIZED_CLIENT
    assert error.message == "The security token included in the request is invalid."


@pytest.mark.parametrize("known", [False, True])
def test_a_long_term_key_with_a_session_token_is_an_unrecognized_client(known: bool) -> None:  # noqa: FBT001 - a parameter
    verifier = new_verifier()
    if known:
        verify(signed_call("ListStages"), verifier)
    error = refusal(signed("POST", "/ListStages", token="a token of another key"), verifier)

    assert error.refusal is SignatureRefusal.UNRECOGNIZED_CLIENT
    assert refusal(with_header(signed_call("ListStages"), b"x-amz-security-token", b"token")).refusal is (
        SignatureRefusal.UNRECOGNIZED_CLIENT
    )


def test_a_wrong_secret_is_an_invalid_signature() -> None:
    error = refusal(signed_call("ListStages", secret="not the secret"))

    assert error.refusal is SignatureRefusal.INVALID_SIGNATURE
    assert error.message.startswith(
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method."
    )
    assert SECRET not in error.message


@pytest.mark.parametrize(
    ("region", "service", "expected"),
    [
        ("us-east-1", "ivs", "Credential should be scoped to the region of this server: 'us-west-2'."),
        (REGION, "ivschat", "Credential should be scoped to the correct service: 'ivs'."),
    ],
)
def test_a_signature_for_another_region_or_service_is_refused(region: str, service: str, expected: str) -> None:
    error = refusal(signed("POST", "/ListStages", region=region, service=service))

    assert (error.refusal, error.message) == (SignatureRefusal.INVALID_SIGNATURE, expected)


@pytest.mark.parametrize(
    ("skew_seconds", "expected"),
    [(-301, "Signature expired: "), (-300, None), (0, None), (300, None), (301, "Signature not yet current: ")],
)
def test_a_signature_is_valid_within_five_minutes_of_its_date(skew_seconds: int, expected: str | None) -> None:
    request = signed("POST", "/ListStages", moment=NOW + timedelta(seconds=skew_seconds))

    if expected is None:
        assert verify(request) == credential()
    else:
        error = refusal(request)
        assert error.refusal is SignatureRefusal.INVALID_SIGNATURE
        assert error.message.startswith(expected)


def test_a_valid_signature_expires() -> None:
    clock = FixedClock()
    verifier = new_verifier(clock=clock)
    request = signed_call("ListStages")
    verify(request, verifier)

    clock.time_ms += 300_001

    assert refusal(request, verifier).message.startswith("Signature expired: 20230426T203628Z ")


def test_signatures_are_valid_across_midnight() -> None:
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
def test_a_missing_or_malformed_date_is_an_incomplete_signature(date: bytes | None) -> None:
    error = refusal(with_header(signed_call("ListStages"), b"x-amz-date", date))

    assert error.refusal is SignatureRefusal.INCOMPLETE_SIGNATURE
    assert "X-Amz-Date" in error.message


def test_a_wrong_x_amz_content_sha256_is_refused() -> None:
    unsigned_payload = signed("POST", "/ListStages", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})

    error = refusal(unsigned_payload)

    assert error.refusal is SignatureRefusal.INVALID_SIGNATURE
    assert "X-Amz-Content-Sha256" in error.message


@given(st.binary(max_size=120) | st.binary(max_size=60).map(lambda tail: b"AWS4-HMAC-SHA256 Credential=" + tail))
def test_arbitrary_authorization_headers_are_refused(value: bytes) -> None:
    refusal(with_header(signed_call("ListStages"), b"authorization", value))
