"""The constant header fields of responses of the AWS API.

Source of the response values: the samples of `create-ingest-configuration` and `start-participant-replication` in the
AWS CLI reference.
"""

from stagebook.api.asgi import Header

EXPOSE_HEADERS: Header = (
    b"access-control-expose-headers",
    (
        b"Access-Control-Allow-Origin,Access-Control-Expose-Headers,Cache-Control,Content-Length,"
        b"Content-Security-Policy,Content-Type,date,Strict-Transport-Security,x-amz-apigw-id,x-amzn-errormessage,"
        b"x-amzn-errortype,x-amzn-requestid,x-amzn-trace-id,X-Content-Type-Options,X-Frame-Options"
    ),
)

CLOSE_CONNECTION: Header = (b"connection", b"close")
"""Sent when a part of the request body has not been read: the rest would be parsed as the next request."""

ALLOW_ANY_ORIGIN: Header = (b"access-control-allow-origin", b"*")

MODELLED_HEADERS: tuple[Header, ...] = (
    EXPOSE_HEADERS,
    (b"cache-control", b"no-store, no-cache"),
    (b"content-security-policy", b"default-src 'self'; upgrade-insecure-requests;"),
    # AWS sends a colon where RFC 6797 section 6.1 requires `max-age=`. Browsers therefore ignore the field, which suits
    # a server without TLS.
    (b"strict-transport-security", b"max-age:47304000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""The header fields that the service model gives every error and four outputs. The seventh,
`access-control-allow-origin`, depends on the request."""
