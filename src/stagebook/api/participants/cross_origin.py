"""Cross-origin rules of this door: any web page may join a stage, because a bearer token, never a cookie, admits.

Source: the CORS protocol of the Fetch standard; RFC 9725 section 4.1 asks WHIP endpoints for it.
"""

from stagebook.api.participants.problem_responses import Header

ANY_ORIGIN: Header = (b"access-control-allow-origin", b"*")

SHARED: tuple[Header, ...] = (
    ANY_ORIGIN,
    (b"access-control-expose-headers", b"Location, ETag, Link, Accept-Patch, Retry-After, WWW-Authenticate"),
)
"""What every answer carries."""


def preflight(methods: str) -> tuple[Header, ...]:
    """Return what the answer to a preflight adds, for a resource that takes these methods."""
    return (
        (b"access-control-allow-methods", methods.encode("ascii")),
        (b"access-control-allow-headers", b"Authorization, Connection-Token, Content-Type, If-Match"),
        (b"access-control-max-age", b"86400"),
    )
