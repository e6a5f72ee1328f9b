"""The CORS header fields of this API.

Every origin is allowed. That is safe, because requests are authenticated by a bearer token that a page must hold
itself; no cookie or other ambient credential is used. RFC 9725 section 4.1 asks WHIP endpoints to support CORS.
Source: the CORS protocol of the Fetch standard.
"""

from stagebook.api.asgi import Header

_ANY_ORIGIN: Header = (b"access-control-allow-origin", b"*")

RESPONSE_HEADERS: tuple[Header, ...] = (
    _ANY_ORIGIN,
    (b"access-control-expose-headers", b"Location, ETag, Link, Accept-Patch, Retry-After, WWW-Authenticate"),
)
"""The header fields of every response, preflight or not."""


def preflight_headers(methods: str) -> tuple[Header, ...]:
    """Return the further header fields of a preflight response, for a resource with these comma-separated methods."""
    return (
        (b"access-control-allow-methods", methods.encode("ascii")),
        (b"access-control-allow-headers", b"Authorization, Connection-Token, Content-Type, If-Match"),
        (b"access-control-max-age", b"86400"),
    )
