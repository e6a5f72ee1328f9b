"""CORS: the web pages that may call the AWS API from a browser, with the AWS SDK for JavaScript.

A browser sends `Origin` with every cross-origin request, and lets the page read the response only when
`Access-Control-Allow-Origin` permits it. Before a request with an `Authorization` header field it sends a preflight:
an unauthenticated OPTIONS request. By default no origin is allowed.
Source: the CORS protocol of the Fetch standard.
"""

import re
from collections.abc import Iterable, Mapping

from stagebook.api.asgi import Header
from stagebook.api.aws.rest_json.header_members import ALLOW_ANY_ORIGIN, EXPOSE_HEADERS, MODELLED_HEADERS

ANY = "*"
PREFLIGHT_MAX_AGE_SECONDS = 7_200

# A scheme is required, so that `null`, the origin of every sandboxed page, is allowed only by `*`.
_ORIGIN = re.compile(r"\*|https?://[^/\s]+")
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9_-]+( *, *[A-Za-z0-9_-]+)*")
_HEADER_NAMES_MAXIMUM_LENGTH = 2_048
_VARY: Header = (b"vary", b"origin")
"""The response depends on the origin, so that a cache must not give it to another page."""


class CorsRules:
    """The allowed origins: each like `https://app.example.com`, or `*` for all.

    Raises ValueError for any other form.
    """

    def __init__(self, allowed_origins: Iterable[str]) -> None:
        origins = frozenset(allowed_origins)
        for origin in origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(f"an allowed origin must be '*' or like https://app.example.com, not {origin!r}")
        self._allows_any = ANY in origins
        self._allowed = frozenset(origin.encode() for origin in origins)

    def allows(self, origin: bytes) -> bool:
        """Return whether pages of this origin may call the API."""
        return self._allows_any or origin in self._allowed

    def response_headers(self, request_headers: Mapping[bytes, bytes], *, modelled: bool) -> tuple[Header, ...]:
        """Return the header fields of a response that depend on the request's Origin.

        `modelled` adds the header fields that the service model gives the response. A request without an Origin is
        not from a browser and gets them as AWS sends them. A page of an origin that is not allowed gets no
        `Access-Control-Allow-Origin`, so that its browser hides the response.
        """
        origin = request_headers.get(b"origin")
        if origin is None:
            return (*MODELLED_HEADERS, ALLOW_ANY_ORIGIN) if modelled else ()
        permission = self._permission(origin)
        if modelled:
            # EXPOSE_HEADERS is among the modelled header fields.
            return (*MODELLED_HEADERS, *permission)
        return (EXPOSE_HEADERS, *permission) if permission else ()

    def preflight_headers(
        self, request_headers: Mapping[bytes, bytes], methods: Iterable[str]
    ) -> tuple[Header, ...] | None:
        """Return the header fields that answer a preflight for a path with these methods.

        None when the request is no preflight, or its origin is not allowed. All requested header fields are allowed,
        because SDKs sign header fields of their own.
        """
        permission = self._permission(request_headers.get(b"origin", b""))
        if not permission or b"access-control-request-method" not in request_headers:
            return None
        requested = request_headers.get(b"access-control-request-headers", b"").strip()
        # The names are echoed into the response, so only a short, well-formed list is.
        allowed: tuple[Header, ...] = ()
        if len(requested) <= _HEADER_NAMES_MAXIMUM_LENGTH and _HEADER_NAMES.fullmatch(requested) is not None:
            allowed = ((b"access-control-allow-headers", requested),)
        return (
            *permission,
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-max-age", str(PREFLIGHT_MAX_AGE_SECONDS).encode()),
            *allowed,
        )

    def _permission(self, origin: bytes) -> tuple[Header, ...]:
        if not self.allows(origin):
            return ()
        return (ALLOW_ANY_ORIGIN if self._allows_any else (b"access-control-allow-origin", origin), _VARY)
