"""One HTTP exchange over ASGI: reading a request within its bounds, and writing one response.

Knows ASGI and HTTP, and nothing of stages.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import msgspec

from stagebook.api.participants.problem_responses import NO_TOKEN, Header, RequestRefusedError

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A finished answer. Its length is added when it is written."""

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes = b""


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header's value, lines of the same name joined by commas; None when it is absent."""
    values = [value.decode("latin-1").strip() for key, value in scope["headers"] if key == name]
    return ", ".join(values) if values else None


def bearer_token(scope: Scope) -> str:
    """Return the bearer token of a request (RFC 6750 section 2.1); raise RequestRefusedError 401 without one."""
    scheme, _, token = (header(scope, b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RequestRefusedError(
            status=401, code="NO_TOKEN", message="send the participant token as a bearer token", headers=(NO_TOKEN,)
        )
    return token.strip()


def require_content_type(scope: Scope, expected: str, advice: Header) -> None:
    """Raise RequestRefusedError 415 unless the body is of the expected media type; parameters do not count."""
    media_type = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != expected:
        raise RequestRefusedError(
            status=415, code="UNSUPPORTED_MEDIA_TYPE", message=f"the content type must be {expected}", headers=(advice,)
        )


async def read_text(scope: Scope, receive: Receive, *, size_bytes: int, timeout_seconds: float) -> str:
    """Return the request's body as text.

    Raises RequestRefusedError: 413 above `size_bytes`, 408 when it takes longer than `timeout_seconds` or the client
    goes away, 400 when it is not UTF-8.
    """
    too_large = RequestRefusedError(
        status=413, code="TOO_LARGE", message=f"the body may have at most {size_bytes} bytes"
    )
    declared = header(scope, b"content-length") or ""
    if declared.isdecimal() and int(declared[:20]) > size_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_seconds):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise TimeoutError
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > size_bytes:
                    raise too_large
        return body.decode("utf-8")
    except TimeoutError:
        raise RequestRefusedError(status=408, code="TIMEOUT", message="the body did not arrive in time") from None
    except UnicodeDecodeError:
        raise RequestRefusedError(status=400, code="MALFORMED_SDP", message="the body is not UTF-8") from None


async def write(send: Send, response: Response) -> None:
    """Send a response, whole."""
    headers = list(response.headers)
    if response.status != 204:  # RFC 9110 section 8.6: a 204 has no length
        headers.append((b"content-length", str(len(response.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
