"""Which web pages may call this door from a browser with the AWS SDK for JavaScript. None, unless origins are given.

Source: the CORS protocol of the Fetch standard.
"""

import re
from collections.abc import Iterable, Mapping

from stagebook.api.aws.rest_json.header_members import ALLOW_ANY_ORIGIN, EXPOSE_HEADERS, MODELLED_HEADERS, Header

ANY = "*"
PREFLIGHT_MAX_AGE_SECONDS = 7_200

_ORIGIN = re.compile(r"\*|https?://[^/\s]+")
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9_-]+( *, *[A-Za-z0-9_-]+)*")
_HEADER_NAMES_MAXIMUM_LENGTH = 2_048
_VARY: Header = (b"vary", b"origin")


class CorsRules:
    """The origins that are allowed: `https://app.example.com`, or `*` for all. Raises ValueError for other forms."""

    def __init__(self, allowed_origins: Iterable[str]) -> None:
        origins = frozenset(allowed_origins)
        for origin in origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(f"an allowed origin must be '*' or like https://app.example.com, not {origin!r}")
        self._allows_any = ANY in origins
        self._allowed = frozenset(origin.encode() for origin in origins)

    def allows(self, origin: bytes) -> bool:
        """Return whether pages of this origin may call."""
        return self._allows_any or origin in self._allowed

    def of_answer(self, headers: Mapping[bytes, bytes], *, modelled: bool) -> tuple[Header, ...]:
        """Return the headers of an answer that depend on who asks, and with `modelled` those the model gives it.

        A caller that is no browser sends no Origin and gets the modelled headers as AWS sends them. A page that is
        not allowed gets no permission to read.
        """
        origin = headers.get(b"origin")
        if origin is None:
            return (*MODELLED_HEADERS, ALLOW_ANY_ORIGIN) if modelled else ()
        permission = self._permission(origin)
        if modelled:
            return (*MODELLED_HEADERS, *permission)
        return (EXPOSE_HEADERS, *permission) if permission else ()

    def of_preflight(self, headers: Mapping[bytes, bytes], methods: Iterable[str]) -> tuple[Header, ...] | None:
        """Return the headers that answer a preflight request; None when this is none or its origin is not allowed.

        Whatever headers a page of an allowed origin wants to send are allowed: signers add headers of their own.
        """
        permission = self._permission(headers.get(b"origin", b""))
        if not permission or b"access-control-request-method" not in headers:
            return None
        wanted = headers.get(b"access-control-request-headers", b"").strip()
        names: tuple[Header, ...] = ()
        if len(wanted) <= _HEADER_NAMES_MAXIMUM_LENGTH and _HEADER_NAMES.fullmatch(wanted) is not None:
            names = ((b"access-control-allow-headers", wanted),)
        return (
            *permission,
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-max-age", str(PREFLIGHT_MAX_AGE_SECONDS).encode()),
            *names,
        )

    def _permission(self, origin: bytes) -> tuple[Header, ...]:
        if not self.allows(origin):
            return ()
        return (ALLOW_ANY_ORIGIN if self._allows_any else (b"access-control-allow-origin", origin), _VARY)
