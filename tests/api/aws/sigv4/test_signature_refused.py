"""Signature Version 4: what was altered, is stale, or was never signed is refused, in the words of AWS."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.aws.aws_errors import ErrorType
from tests.api.aws.harness import (
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
from tests.api.aws.signing import ONE_OF_EACH, new_verifier, refusal, verify, with_header


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


@given(st.binary(max_size=120) | st.binary(max_size=60).map(lambda tail: b"AWS4-HMAC-SHA256 Credential=" + tail))
def test_arbitrary_authorization_headers_are_refused(value: bytes) -> None:
    refusal(with_header(signed_call("ListStages"), b"authorization", value))
