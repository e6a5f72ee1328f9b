"""The CORS rules for browsers."""

from collections.abc import Mapping

import pytest

from stagebook.api.aws.access.browser_origins import CorsRules

PAGE = b"https://app.example.com"
PREFLIGHT: Mapping[bytes, bytes] = {
    b"origin": PAGE,
    b"access-control-request-method": b"POST",
    b"access-control-request-headers": b"amz-sdk-request,authorization,content-type,x-amz-date",
}
OFF = CorsRules([])
ONE = CorsRules([PAGE.decode()])
ANY = CorsRules(["*"])


def test_by_default_no_origin_is_allowed() -> None:
    assert not OFF.allows(PAGE)
    assert not OFF.allows(b"null")
    assert OFF.response_headers({b"origin": PAGE}, modelled=False) == ()
    assert OFF.preflight_headers(PREFLIGHT, ["POST"]) is None


def test_an_allowed_origin_may_read_the_response_and_its_headers() -> None:
    headers = dict(ONE.response_headers({b"origin": PAGE}, modelled=False))

    assert headers[b"access-control-allow-origin"] == PAGE
    assert b"x-amzn-requestid" in headers[b"access-control-expose-headers"]
    assert headers[b"vary"] == b"origin"


@pytest.mark.parametrize("origin", [b"https://evil.example.com", b"http://app.example.com", b"null", PAGE + b":8080"])
def test_another_origin_is_not_allowed(origin: bytes) -> None:
    assert ONE.response_headers({b"origin": origin}, modelled=False) == ()
    assert b"access-control-allow-origin" not in dict(ONE.response_headers({b"origin": origin}, modelled=True))
    assert ONE.preflight_headers({**PREFLIGHT, b"origin": origin}, ["POST"]) is None


def test_with_a_wildcard_every_origin_is_allowed() -> None:
    assert dict(ANY.response_headers({b"origin": PAGE}, modelled=False))[b"access-control-allow-origin"] == b"*"


@pytest.mark.parametrize("rules", [OFF, ONE, ANY])
def test_a_request_without_an_origin_gets_the_modelled_headers(rules: CorsRules) -> None:
    assert rules.response_headers({}, modelled=False) == ()
    headers = dict(rules.response_headers({}, modelled=True))
    assert headers[b"access-control-allow-origin"] == b"*"
    assert len(headers) == 7


def test_a_preflight_response_has_the_methods_and_headers() -> None:
    headers = dict(ONE.preflight_headers(PREFLIGHT, ["GET", "POST"]) or ())

    assert headers[b"access-control-allow-origin"] == PAGE
    assert headers[b"access-control-allow-methods"] == b"GET, POST"
    assert headers[b"access-control-allow-headers"] == PREFLIGHT[b"access-control-request-headers"]
    assert int(headers[b"access-control-max-age"]) > 0


def test_a_request_without_a_requested_method_is_no_preflight() -> None:
    assert ONE.preflight_headers({b"origin": PAGE}, ["POST"]) is None


@pytest.mark.parametrize("names", [b"", b"a b", b"x\r\ny: z", b"x" * 2_049, b"a,,b"])
def test_malformed_header_names_are_not_echoed(names: bytes) -> None:
    headers = dict(ONE.preflight_headers({**PREFLIGHT, b"access-control-request-headers": names}, ["POST"]) or ())

    assert headers
    assert b"access-control-allow-headers" not in headers


@pytest.mark.parametrize(
    "origin", ["", "app.example.com", "https://app.example.com/", "https://*.x y", "ftp://x", "null"]
)
def test_a_malformed_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="an allowed origin must be"):
        CorsRules([origin])
