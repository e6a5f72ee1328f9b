"""The head of an HTTP/1.1 request, and the rules that it must meet."""

import pytest

from stagebook.server.http.request_head import (
    MAXIMUM_HANDSHAKE_ITEMS,
    MAXIMUM_HEADER_FIELDS,
    HttpRequestError,
    parse_request_head,
)


def test_a_head_is_parsed() -> None:
    head = parse_request_head(b"GET /a%20b?c=d%26 HTTP/1.1\r\nHost: x\r\nX-Name:  Value\r\n\r\n")
    assert (head.method, head.version, head.raw_path, head.query) == ("GET", "1.1", b"/a%20b", b"c=d%26")
    assert head.headers == [(b"host", b"x"), (b"x-name", b"Value")]
    assert head.content_length == 0
    assert head.keep_alive
    assert not head.is_websocket
    assert not head.expects_continue


def test_an_absolute_target_is_split() -> None:
    head = parse_request_head(b"GET http://example.com?a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (head.raw_path, head.query) == (b"/", b"a")


def test_http_1_0_needs_no_host_and_has_one_request_per_connection() -> None:
    head = parse_request_head(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n")
    assert not head.keep_alive
    assert not head.expects_continue


@pytest.mark.parametrize(
    ("fields", "length"),
    [(b"Content-Length: 12", 12), (b"Transfer-Encoding: Chunked", None), (b"X: y", 0)],
)
def test_the_body_is_framed_by_the_fields(fields: bytes, length: int | None) -> None:
    assert parse_request_head(b"POST / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n\r\n").content_length == length


@pytest.mark.parametrize(
    ("request_line", "connection", "upgrade", "is_websocket"),
    [
        (b"GET / HTTP/1.1", b"keep-alive, Upgrade", b"WebSocket", True),
        (b"GET / HTTP/1.1", b"Upgrade", b"h2c, websocket", True),
        (b"GET / HTTP/1.1", b"Upgrade", b"h2c", False),
        (b"GET / HTTP/1.1", b"keep-alive", b"websocket", False),
        (b"POST / HTTP/1.1", b"Upgrade", b"websocket", False),
        (b"GET / HTTP/1.0", b"Upgrade", b"websocket", False),
    ],
)
def test_an_upgrade_to_a_websocket_is_recognised(
    request_line: bytes, connection: bytes, upgrade: bytes, *, is_websocket: bool
) -> None:
    data = request_line + b"\r\nHost: x\r\nConnection: " + connection + b"\r\nUpgrade: " + upgrade + b"\r\n\r\n"
    assert parse_request_head(data).is_websocket is is_websocket


@pytest.mark.parametrize("name", [b"Connection", b"Upgrade", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Extensions"])
def test_the_lists_of_a_websocket_handshake_are_limited(name: bytes) -> None:
    start = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + name + b": "
    allowed = b"a," * (MAXIMUM_HANDSHAKE_ITEMS - 3) + b"a"
    assert parse_request_head(start + allowed + b"\r\n\r\n").is_websocket
    with pytest.raises(HttpRequestError) as refused:
        parse_request_head(start + b"," + allowed + b"\r\n\r\n")
    assert refused.value.status == 431


def test_lists_of_other_requests_are_not_limited() -> None:
    fields = b"Connection: upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Protocol: " + b"a," * 1_000
    assert not parse_request_head(b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n\r\n").is_websocket


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n"),
        (400, b"GET / HTTP/1.0\r\nHost: x\r\nhost: x\r\n\r\n"),
        (400, b"GET / HTTP/1.1\nHost: x\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n"),
        (400, b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (400, b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * MAXIMUM_HEADER_FIELDS + b"\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    ],
)
def test_a_head_that_breaks_a_rule_is_refused(status: int, data: bytes) -> None:
    with pytest.raises(HttpRequestError) as caught:
        parse_request_head(data)
    assert caught.value.status == status


def test_the_largest_number_of_fields_is_accepted() -> None:
    data = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * (MAXIMUM_HEADER_FIELDS - 1) + b"\r\n"
    assert len(parse_request_head(data).headers) == MAXIMUM_HEADER_FIELDS
