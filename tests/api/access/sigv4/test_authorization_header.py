"""Parsing the Authorization header field."""

import pytest

from stagebook.api.access.sigv4.authorization_header import (
    MAXIMUM_SIGNED_HEADERS,
    SignatureRefusal,
    SignatureRefusedError,
    parse_authorization,
)

CREDENTIAL = b"Credential=AKIDEXAMPLE/20230426/us-west-2/ivs/aws4_request"
SIGNED_HEADERS = b"SignedHeaders=content-type;host;x-amz-date"
SIGNATURE = b"Signature=00ff"


def header(*parts: bytes) -> bytes:
    return b"AWS4-HMAC-SHA256 " + b", ".join(parts)


@pytest.mark.parametrize("separator", [b", ", b",", b" ,  "])
def test_the_header_is_parsed_into_its_parts(separator: bytes) -> None:
    parsed = parse_authorization(b"AWS4-HMAC-SHA256 " + separator.join((CREDENTIAL, SIGNED_HEADERS, SIGNATURE)))

    assert parsed.access_key_id == "AKIDEXAMPLE"
    assert (parsed.date, parsed.region, parsed.service, parsed.terminator) == (
        b"20230426",
        b"us-west-2",
        b"ivs",
        b"aws4_request",
    )
    assert parsed.scope == b"20230426/us-west-2/ivs/aws4_request"
    assert parsed.signed_headers == (b"content-type", b"host", b"x-amz-date")
    assert parsed.signature == b"00ff"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (header(SIGNED_HEADERS, SIGNATURE), "'Credential'"),
        (header(CREDENTIAL, SIGNATURE), "'SignedHeaders'"),
        (header(CREDENTIAL, SIGNED_HEADERS), "'Signature'"),
        (header(CREDENTIAL, SIGNED_HEADERS, b"Signature="), "'Signature'"),
        (header(), "'Credential'"),
        (header(b"Credential=AKIDEXAMPLE", SIGNED_HEADERS, SIGNATURE), "5 elements"),
        (
            header(b"Credential=AKID/EXAMPLE/20230426/us-west-2/ivs/aws4_request", SIGNED_HEADERS, SIGNATURE),
            "5 elements",
        ),
        (header(CREDENTIAL, b"SignedHeaders=host", SIGNED_HEADERS, SIGNATURE), "'SignedHeaders' only once"),
        (b"Bearer abc", "AWS4-HMAC-SHA256"),
        (b"Basic dXNlcjpwYXNz", "AWS4-HMAC-SHA256"),
        (b"AWS4-ECDSA-P256-SHA256 " + b", ".join((CREDENTIAL, SIGNED_HEADERS, SIGNATURE)), "AWS4-HMAC-SHA256"),
        (b"", "AWS4-HMAC-SHA256"),
    ],
)
def test_an_incomplete_header_is_refused_with_the_missing_part(value: bytes, expected: str) -> None:
    with pytest.raises(SignatureRefusedError) as refused:
        parse_authorization(value)

    assert refused.value.refusal is SignatureRefusal.INCOMPLETE_SIGNATURE
    assert expected in refused.value.message


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (b"content-type;x-amz-date", "'host'"),
        (b"content-type;host", "'x-amz-date'"),
        (b"host;x-amz-date;" + b";".join([b"x"] * MAXIMUM_SIGNED_HEADERS), "At most 100"),
        (b"host;x-amz-date;host", "twice"),
    ],
)
def test_host_and_date_must_be_signed(names: bytes, expected: str) -> None:
    with pytest.raises(SignatureRefusedError) as refused:
        parse_authorization(header(CREDENTIAL, b"SignedHeaders=" + names, SIGNATURE))

    assert refused.value.refusal is SignatureRefusal.INVALID_SIGNATURE
    assert expected in refused.value.message
