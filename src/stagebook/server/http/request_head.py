"""The head of an HTTP/1.1 request: request line and header fields, and the rules that they must meet.

httptools parses the head. It always gets exactly one head, up to its empty line, and a new parser: the framing of the
body is decided here, from the parsed fields, and in no second place. Two opinions about where a request ends are what
makes request smuggling possible (RFC 9112 section 11.2), so a head that leaves room for two is refused:

    line ends other than CRLF                           400   RFC 9112 section 2.2
    no Host in HTTP/1.1, or more than one               400   RFC 9112 section 3.2
    Transfer-Encoding with Content-Length               400   RFC 9112 section 6.1
    Transfer-Encoding other than chunked                501   RFC 9112 section 6.1
    Content-Length that is not one number               400   RFC 9112 section 6.3
    more than MAXIMUM_HEADER_FIELDS header fields       431   RFC 6585 section 5
    more than MAXIMUM_HANDSHAKE_ITEMS list items in     431   RFC 6585 section 5
        the fields of a websocket handshake
"""

from collections.abc import Mapping

import httptools
import msgspec

from stagebook.api.asgi import Header

HEAD_LIMIT_BYTES = 65_536
"""Maximum size of a request line, its header fields and its trailer fields. It admits the largest participant token."""

MAXIMUM_HEADER_FIELDS = 128
MAXIMUM_HANDSHAKE_ITEMS = 64
"""The items of all fields of a websocket handshake that are lists. A client that joins 16 stages offers 17
subprotocols. The parser of `websockets` needs a microsecond for each item, and each subprotocol may be a token."""

_BAD_REQUEST = 400
_FIELDS_TOO_LARGE = 431
_NOT_IMPLEMENTED = 501
_VERSION_NOT_SUPPORTED = 505
_VERSIONS = ("1.1", "1.0")
_FRAMING_NAMES = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"))
_HANDSHAKE_LISTS = frozenset((b"connection", b"upgrade", b"sec-websocket-extensions", b"sec-websocket-protocol"))
_LENGTH_DIGITS = 18  # more than any body has, and few enough to convert in no time


class HttpRequestError(Exception):
    """A request that is not served, because it is malformed or above a limit. The connection must be closed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed and checked head.

    `raw_path` and `query` are undecoded. `headers` has lower-case names, in the order received. `content_length` is
    None for a chunked body, and 0 without a body. `is_websocket` is true for a request that offers an upgrade to a
    websocket; every other offer is ignored, as RFC 9110 section 7.8 allows and clients of HTTP/2 expect.
    """

    method: str
    version: str
    raw_path: bytes
    query: bytes
    headers: list[Header]
    size_bytes: int
    content_length: int | None
    is_websocket: bool
    keep_alive: bool
    expects_continue: bool


class _Collector:
    """The callbacks of httptools. They collect what the parser finds."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[Header] = []
        self.is_complete = False
        self.parser = httptools.HttpRequestParser(self)
        self.method = b""
        self.version = ""
        self.keep_alive = False

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) == MAXIMUM_HEADER_FIELDS:
            raise HttpRequestError(
                _FIELDS_TOO_LARGE, f"A request can have at most {MAXIMUM_HEADER_FIELDS} header fields."
            )
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_complete = True
        # The parser forgets these after the message.
        self.method = self.parser.get_method()
        self.version = self.parser.get_http_version()
        self.keep_alive = self.parser.should_keep_alive()


def _collect(data: bytes | bytearray) -> _Collector:
    """Return what the parser finds in `data`. Raises HttpRequestError."""
    found = _Collector()
    try:
        found.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # an offer to upgrade stops the parser behind the head, which is the end of `data`
    except httptools.HttpParserError as error:
        if isinstance(error.__context__, HttpRequestError):
            raise error.__context__ from None
        raise HttpRequestError(_BAD_REQUEST, "The request is not valid HTTP/1.1.") from None
    finally:
        # The parser refers to the collector. Without this, the garbage collector alone would free the head, and it
        # counts objects, not their bytes: clients can send a gigabyte of heads in between.
        del found.parser
    return found


def parse_request_head(data: bytes | bytearray) -> RequestHead:
    """Return the head in `data`, which ends with the first empty line. Raises HttpRequestError."""
    found = _collect(data)
    # The request line, one line for each field, and the empty line. If CRLF is the only line end, the empty line that
    # ended `data` is also the first one for the parser.
    lines = len(found.headers) + 2
    if not found.is_complete or data.count(b"\n") != lines or data.count(b"\r") != lines:
        raise HttpRequestError(_BAD_REQUEST, "The request is not valid HTTP/1.1, with CRLF at the end of each line.")
    if found.version not in _VERSIONS:
        raise HttpRequestError(_VERSION_NOT_SUPPORTED, "The server supports HTTP/1.1 and HTTP/1.0.")
    is_current = found.version == "1.1"
    raw_path, query = _split_target(found)
    fields = _framing_fields(found.headers)
    if len(fields.get(b"host", ())) != 1 and (is_current or b"host" in fields):
        raise HttpRequestError(_BAD_REQUEST, "A request must have exactly one Host header field.")
    is_websocket = is_current and found.method == b"GET" and b"upgrade" in fields and _offers_websocket(fields)
    if is_websocket:
        _require_short_lists(found.headers)
    return RequestHead(
        method=found.method.decode("ascii"),
        version=found.version,
        raw_path=raw_path,
        query=query,
        headers=found.headers,
        size_bytes=len(data),
        content_length=_content_length(fields, is_current=is_current),
        is_websocket=is_websocket,
        keep_alive=is_current and found.keep_alive,
        expects_continue=is_current and b"expect" in fields and fields[b"expect"][-1].lower() == b"100-continue",
    )


def _split_target(found: _Collector) -> tuple[bytes, bytes]:
    """Return path and query of an origin-form or absolute-form target (RFC 9112 section 3.2)."""
    try:
        target = httptools.parse_url(found.target)
    except httptools.HttpParserInvalidURLError:
        target = None
    # CONNECT and `OPTIONS *` are for proxies and for a server as a whole.
    path = b"" if target is None else target.path or b"/"
    if target is None or found.method == b"CONNECT" or not path.startswith(b"/") or not found.target.isascii():
        raise HttpRequestError(_BAD_REQUEST, "The request target must be a path or an absolute URL, in ASCII.")
    return path, target.query or b""


def _framing_fields(headers: list[Header]) -> dict[bytes, list[bytes]]:
    """Return the values of the fields that decide about the framing of a request and its connection."""
    fields: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _FRAMING_NAMES:
            fields.setdefault(name, []).append(value)
    return fields


def _content_length(fields: Mapping[bytes, list[bytes]], *, is_current: bool) -> int | None:
    """Return the length of the body, None if it is chunked. Raises HttpRequestError."""
    lengths = fields.get(b"content-length")
    codings = fields.get(b"transfer-encoding")
    if codings is not None:
        if lengths is not None or not is_current:
            raise HttpRequestError(_BAD_REQUEST, "Transfer-Encoding requires HTTP/1.1 and excludes Content-Length.")
        if len(codings) > 1 or codings[0].strip().lower() != b"chunked":
            raise HttpRequestError(_NOT_IMPLEMENTED, "The only supported transfer coding is chunked.")
        return None
    if lengths is None:
        return 0
    value = lengths[0].strip()
    if len(lengths) > 1 or not value.isdigit() or len(value) > _LENGTH_DIGITS:
        raise HttpRequestError(_BAD_REQUEST, "Content-Length must be one decimal number.")
    return int(value)


def _offers_websocket(fields: Mapping[bytes, list[bytes]]) -> bool:
    """Return whether the client offers to upgrade to a websocket (RFC 6455 section 4.2.1)."""
    return b"websocket" in _tokens(fields[b"upgrade"]) and b"upgrade" in _tokens(fields.get(b"connection", []))


def _require_short_lists(headers: list[Header]) -> None:
    """Raise HttpRequestError for a websocket handshake whose lists have too many items, empty ones included."""
    items = sum(value.count(b",") + 1 for name, value in headers if name in _HANDSHAKE_LISTS)
    if items > MAXIMUM_HANDSHAKE_ITEMS:
        raise HttpRequestError(
            _FIELDS_TOO_LARGE, f"A websocket handshake can have at most {MAXIMUM_HANDSHAKE_ITEMS} items in its lists."
        )


def _tokens(values: list[bytes]) -> list[bytes]:
    return [token.strip() for value in values for token in value.lower().split(b",")]
