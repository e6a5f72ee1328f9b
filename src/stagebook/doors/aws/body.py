"""The body of a request: read within bounds of size and time, and decoded.

Knows ASGI's receiving half and JSON; nothing of operations.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

import msgspec

from stagebook.doors.aws.errors import AwsError, ErrorType

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]

MAXIMUM_SIZE_BYTES = 256 * 1_024
DRAIN_SIZE_BYTES = 2 * 1_024 * 1_024
"""A body that is too large is still read up to here, because clients look at the answer only after sending."""

_JSON_TYPES = frozenset({b"application/json", b"application/x-amz-json-1.1", b"application/x-amz-json-1.0"})
_decode = msgspec.json.Decoder().decode


class ClientGoneError(Exception):
    """The client went away before its request was complete: there is nobody to answer."""


async def read_body(receive: Receive, *, timeout_seconds: float) -> bytes:
    """Return the request's body.

    Raises AwsError: RequestEntityTooLarge above MAXIMUM_SIZE_BYTES, RequestTimeout when it is not complete in time;
    ClientGoneError when the client goes away first.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                body: bytes = message.get("body", b"")
                if len(body) <= MAXIMUM_SIZE_BYTES:
                    return body
            return await _read_rest(message, receive)
    except TimeoutError:
        raise AwsError(
            ErrorType.REQUEST_TIMEOUT,
            f"The body of the request was not complete after {timeout_seconds:g} seconds.",
            close_connection=True,
        ) from None


async def _read_rest(message: Message, receive: Receive) -> bytes:
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        if message["type"] != "http.request":
            raise ClientGoneError
        part = message.get("body", b"")
        size_bytes += len(part)
        if size_bytes <= MAXIMUM_SIZE_BYTES:
            parts.append(part)
        complete = not message.get("more_body", False)
        if complete or size_bytes > DRAIN_SIZE_BYTES:
            break
        message = await receive()
    if size_bytes > MAXIMUM_SIZE_BYTES:
        raise AwsError(
            ErrorType.REQUEST_ENTITY_TOO_LARGE,
            f"The body of a request can have at most {MAXIMUM_SIZE_BYTES} bytes.",
            close_connection=not complete,
        )
    return b"".join(parts)


def check_content_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise AwsError UnsupportedMediaType unless the body is said to be JSON, or not said to be anything."""
    stated = headers.get(b"content-type")
    if stated is None or stated in _JSON_TYPES:
        return
    if stated.partition(b";")[0].strip().lower() not in _JSON_TYPES:
        raise AwsError(ErrorType.UNSUPPORTED_MEDIA_TYPE, "The content type must be application/json.")


def decode_document(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body; an empty body is an empty object, and of equal keys the last one counts.

    Raises AwsError Serialization for everything else. Lone surrogates, NaN and numbers beyond any type are not JSON
    values here.
    """
    if not body:
        return {}
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AwsError(ErrorType.SERIALIZATION, "The body of the request is not valid JSON in UTF-8.") from None
    except RecursionError:
        raise AwsError(ErrorType.SERIALIZATION, "The body of the request is nested too deeply.") from None
    if type(document) is not dict:
        raise AwsError(ErrorType.SERIALIZATION, "The body of the request must be a JSON object.")
    return document
