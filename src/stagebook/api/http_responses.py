"""A complete HTTP response, and how it is sent over ASGI."""

from collections.abc import Sequence

import msgspec

from stagebook.api.asgi import Header, Send

_WITHOUT_LENGTH = frozenset({204, 304})


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The status, the header fields and the body of a response. `Content-Length` is added when it is sent."""

    status: int
    headers: Sequence[Header] = ()
    body: bytes = b""


async def send_response(
    send: Send, response: HttpResponse, *, extra_headers: Sequence[Header] = (), is_head: bool = False
) -> None:
    """Send a response with `extra_headers` before its own header fields.

    `is_head` answers a HEAD request: the header fields are those of the GET response, and there is no body (RFC 9110
    section 9.3.2). A 204 has no Content-Length, and a 304 could only have that of the file (RFC 9110 section 8.6).
    """
    headers = [*extra_headers, *response.headers]
    if response.status not in _WITHOUT_LENGTH:
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else response.body})
