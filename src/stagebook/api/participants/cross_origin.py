"""The CORS header fields of this API.

Every origin is allowed. That is safe, because requests are authenticated by a bearer token that a page must hold
itself; no cookie or other ambient credential is used. RFC 9725 section 4.1 asks WHIP endpoints to support CORS.

Every request header field is allowed as well, by the wildcard `*`: the Web Broadcast SDK sends ten of its own, and a
later version may send others. Two rules of the Fetch standard bound what the wildcard means:

* It never covers Authorization, which has to be named ("CORS non-wildcard request-header name").
* It stands for every other name only in a request without credentials. No client sends any here, and the response does
  not have Access-Control-Allow-Credentials. In a request with credentials it is the name of a header field called `*`.

Browsers without the wildcard (Safari before 15.4, for instance) take it for such a name, too, so the names that are
known today are listed beside it.

Source: the Fetch standard, "CORS protocol" and "CORS-preflight fetch". The names of the Web Broadcast SDK were observed
on the wire with versions 1.6 to 1.41.
"""

from stagebook.api.asgi import Header

_ANY_ORIGIN: Header = (b"access-control-allow-origin", b"*")

RESPONSE_HEADERS: tuple[Header, ...] = (
    _ANY_ORIGIN,
    (b"access-control-expose-headers", b"Location, ETag, Link, Accept-Patch, Retry-After, WWW-Authenticate"),
)
"""The header fields of every response, preflight or not."""

_REQUEST_HEADERS = (
    "Authorization",
    "Connection-Token",
    "Content-Type",
    "If-Match",
    "X-Stages-Initial-Layer-Pref",
    "X-Stages-Options",
    "X-Stages-Platform",
    "X-Stages-Request-ID",
    "X-Stages-SDK",
    "X-Stages-Session-ID",
    "X-Stages-Trace-ID",
    "X-Stages-WHIP-Version",
    "*",
)
_ALLOWED_REQUEST_HEADERS: Header = (b"access-control-allow-headers", ", ".join(_REQUEST_HEADERS).encode("ascii"))


def preflight_headers(methods: str) -> tuple[Header, ...]:
    """Return the further header fields of a preflight response, for a resource with these comma-separated methods."""
    return (
        (b"access-control-allow-methods", methods.encode("ascii")),
        _ALLOWED_REQUEST_HEADERS,
        (b"access-control-max-age", b"86400"),
    )
