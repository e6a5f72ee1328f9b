"""Reading a participant's HTTP request: header fields, the bearer token, the content type and the body."""

from stagebook.api.asgi import Header, Receive, Scope
from stagebook.api.http_body import BodyReader, BodyTimeoutError, BodyTooLargeError, ClientDisconnectedError
from stagebook.api.participants.problem_responses import NO_TOKEN, RequestRefusalCode, RequestRefusedError

_MAX_LENGTH_DIGITS = 20
"""Content-Length is cut to this many digits: Python refuses to parse integers of thousands of digits."""


def header(scope: Scope, name: bytes) -> str | None:
    """Return the value of a header field, several lines of the same name joined by commas; None when it is absent."""
    values = [value.decode("latin-1").strip() for key, value in scope["headers"] if key == name]
    return ", ".join(values) if values else None


def bearer_token(scope: Scope) -> str:
    """Return the bearer token of a request (RFC 6750 section 2.1); raise RequestRefusedError 401 without one."""
    scheme, _, token = (header(scope, b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RequestRefusedError(
            status=401,
            code=RequestRefusalCode.NO_TOKEN,
            message="send the participant token as a bearer token",
            headers=(NO_TOKEN,),
        )
    return token.strip()


def require_content_type(scope: Scope, expected: str, accept: Header) -> None:
    """Raise RequestRefusedError 415, with `accept` as a header field, unless the media type is `expected`.

    The type is compared without its parameters and without regard to case.
    """
    media_type = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != expected:
        raise RequestRefusedError(
            status=415,
            code=RequestRefusalCode.UNSUPPORTED_MEDIA_TYPE,
            message=f"the content type must be {expected}",
            headers=(accept,),
        )


async def read_text(scope: Scope, receive: Receive, bodies: BodyReader, *, max_size_bytes: int) -> str:
    """Return the body of a request, decoded as UTF-8.

    Raises RequestRefusedError: 413 above `max_size_bytes`, 408 when the body is not complete in time or the client
    disconnects, 400 when it is not UTF-8.
    """
    too_large = RequestRefusedError(
        status=413, code=RequestRefusalCode.TOO_LARGE, message=f"the body may have at most {max_size_bytes} bytes"
    )
    declared = header(scope, b"content-length") or ""
    if declared.isdecimal() and int(declared[:_MAX_LENGTH_DIGITS]) > max_size_bytes:
        raise too_large
    try:
        return (await bodies.read(receive, max_size_bytes=max_size_bytes)).decode("utf-8")
    except BodyTooLargeError:
        raise too_large from None
    except (BodyTimeoutError, ClientDisconnectedError):
        raise RequestRefusedError(
            status=408, code=RequestRefusalCode.TIMEOUT, message="the body did not arrive in time"
        ) from None
    except UnicodeDecodeError:
        raise RequestRefusedError(
            status=400, code=RequestRefusalCode.MALFORMED_SDP, message="the body is not UTF-8"
        ) from None
