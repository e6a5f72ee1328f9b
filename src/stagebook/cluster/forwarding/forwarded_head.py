"""The head of a request as it is sent to the owner, and the header fields of the owner's response.

The method, the target, the Host and the end-to-end header fields stay as they are: AWS signatures cover them.
Hop-by-hop fields are removed (RFC 9110 section 7.6.1), those that Connection names as well. Fields that frame the
message or choose its target are never removed on the word of a client: without Content-Length, a body would be read as
the next request. `Expect` is answered by the node that the client asked.
"""

from collections.abc import Iterable
from typing import Final

from stagebook.api.asgi import Header, Scope
from stagebook.cluster.forwarding.forwarding_seal import FORWARDED_HEADER, request_target

LINK_HEADER: Final = b"x-stagebook-link"
"""Marks a response of the internal server itself, which is not for the client. Its value is one of the two below."""
NOT_OWNER: Final = b"not-owner"
REFUSED: Final = b"refused"

_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"te", b"transfer-encoding", b"upgrade")
)
_NEVER_NAMED: Final = frozenset((b"host", b"content-length", b"authorization", FORWARDED_HEADER))
_NOT_FORWARDED: Final = _HOP_BY_HOP | {b"expect", FORWARDED_HEADER}
_NOT_RETURNED: Final = _HOP_BY_HOP | {b"date", LINK_HEADER}
"""The node that the client asked writes its own Date."""
_UPGRADE: Final = b"connection: Upgrade\r\nupgrade: websocket\r\n"
_CHUNKED: Final = b"transfer-encoding: chunked\r\n"


def is_chunked(scope: Scope) -> bool:
    """Return whether the body of a request has no declared length."""
    return any(name == b"transfer-encoding" for name, _ in scope["headers"])


def request_head(scope: Scope, seal: bytes) -> bytes:
    """Return the head of a request to the owner. `seal` is the value of the forwarding header field."""
    headers: list[Header] = scope["headers"]
    removed = _NOT_FORWARDED | _named_by_connection(headers)
    parts = [scope.get("method", "GET").encode(), b" ", request_target(scope), b" HTTP/1.1\r\n"]
    for name, value in headers:
        if name not in removed:
            parts += (name, b": ", value, b"\r\n")
    if scope["type"] == "websocket":
        parts.append(_UPGRADE)
    elif is_chunked(scope):
        parts.append(_CHUNKED)
    parts += (FORWARDED_HEADER, b": ", seal, b"\r\n\r\n")
    return b"".join(parts)


def returned_headers(headers: Iterable[Header]) -> list[Header]:
    """Return the header fields of a response that the client gets."""
    lines = list(headers)
    removed = _NOT_RETURNED | _named_by_connection(lines)
    return [(name, value) for name, value in lines if name not in removed]


def _named_by_connection(headers: Iterable[Header]) -> frozenset[bytes]:
    named = {option.strip().lower() for name, value in headers if name == b"connection" for option in value.split(b",")}
    return frozenset(named - _NEVER_NAMED)
