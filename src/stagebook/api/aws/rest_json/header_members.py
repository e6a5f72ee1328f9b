"""The headers of this door: those a request comes with, and those the service model gives its answers.

Source of the values: the samples of `create-ingest-configuration` and `start-participant-replication` in the AWS CLI
reference.
"""

from collections.abc import Sequence
from typing import TypeAlias

Header: TypeAlias = tuple[bytes, bytes]

EXPOSE_HEADERS: Header = (
    b"access-control-expose-headers",
    (
        b"Access-Control-Allow-Origin,Access-Control-Expose-Headers,Cache-Control,Content-Length,"
        b"Content-Security-Policy,Content-Type,date,Strict-Transport-Security,x-amz-apigw-id,x-amzn-errormessage,"
        b"x-amzn-errortype,x-amzn-requestid,x-amzn-trace-id,X-Content-Type-Options,X-Frame-Options"
    ),
)

CLOSE_CONNECTION: Header = (b"connection", b"close")
"""For where the rest of a request has not been read: it would be taken for the next one."""

ALLOW_ANY_ORIGIN: Header = (b"access-control-allow-origin", b"*")

MODELLED_HEADERS: tuple[Header, ...] = (
    EXPOSE_HEADERS,
    (b"cache-control", b"no-store, no-cache"),
    (b"content-security-policy", b"default-src 'self'; upgrade-insecure-requests;"),
    # Spelled with a colon, as the service does: no browser acts on it, which suits a server without TLS.
    (b"strict-transport-security", b"max-age:47304000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""With `access-control-allow-origin`, which depends on who asks, the seven headers that every error and four outputs
of the model have as members."""


def read_headers(lines: Sequence[Header]) -> dict[bytes, bytes]:
    """Return a request's headers by lower-case name; the values of repeated names are joined by commas."""
    headers = dict(lines)
    if len(headers) != len(lines):
        joined: dict[bytes, list[bytes]] = {}
        for name, value in lines:
            joined.setdefault(name, []).append(value.strip())
        headers = {name: b",".join(values) for name, values in joined.items()}
    return headers
