"""The decoder of one client's input: bytes in, requests out. It does no I/O.

    head  ->  RequestHead  ->  BodyPart ... BodyPart(is_last)  ->  head  ->  ...

The head is complete at its empty line; then `body_framing` decides where the request ends. The decoder does nothing
unless it is asked for the next event, so its owner decides how much work is done at a time, and how far it reads ahead.
What is received and not decoded yet stays in one buffer, from whose front a `bytearray` removes bytes without a copy.
"""

from typing import TypeAlias

import msgspec

from stagebook.server.http.body_framing import ChunkedBody, LengthBody, body_framing
from stagebook.server.http.request_head import HEAD_LIMIT_BYTES, HttpRequestError, RequestHead, parse_request_head

EMPTY_LINES_LIMIT_BYTES = 256
"""Empty lines before a request (RFC 9112 section 2.2): old clients send one after a body. Without a limit, the input of
a client that sends nothing else would be read as fast as it comes, without a turn for the others."""

_BAD_REQUEST = 400
_FIELDS_TOO_LARGE = 431


class BodyPart(msgspec.Struct, frozen=True):
    """Bytes of the body of the current request, possibly none. `is_last` ends the request."""

    data: bytes
    is_last: bool


RequestEvent: TypeAlias = RequestHead | BodyPart


class RequestDecoder:
    """Decodes the requests of one connection, in order."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._searched_bytes = 0  # the part of `_received` that has no end of a head
        self._empty_lines_bytes = 0  # since the last request
        self._body: LengthBody | ChunkedBody | None = None

    @property
    def held_bytes(self) -> int:
        """The number of bytes that were received and not decoded."""
        return len(self._received)

    @property
    def is_in_body(self) -> bool:
        """Whether a head was decoded, and its body is not complete."""
        return self._body is not None

    @property
    def is_in_request(self) -> bool:
        """Whether a part of a request was received, but not all of it was decoded."""
        return self._body is not None or bool(self._received)

    def receive(self, data: bytes) -> None:
        """Add bytes from the client."""
        self._received += data

    def clear(self) -> None:
        """Drop what was received."""
        self._received.clear()
        self._body = None

    def next_event(self) -> RequestEvent | None:
        """Decode the next event and return it, or None if it is not complete. Raises HttpRequestError."""
        body = self._body
        if body is None:
            return self._next_head()
        data = body.decode(self._received)
        if body.is_complete:
            self._body = None
            return BodyPart(data, is_last=True)
        if not data and body.needs_input:
            return None
        return BodyPart(data, is_last=False)

    def _next_head(self) -> RequestHead | None:
        received = self._received
        if received.startswith((b"\r", b"\n")):
            self._skip_empty_lines()
        # The empty line may have begun in the last three bytes that were searched.
        end = received.find(b"\r\n\r\n", max(0, self._searched_bytes - 3), HEAD_LIMIT_BYTES)
        if end < 0:
            if len(received) >= HEAD_LIMIT_BYTES:
                raise HttpRequestError(
                    _FIELDS_TOO_LARGE, f"The head of a request can have at most {HEAD_LIMIT_BYTES} bytes."
                )
            self._searched_bytes = len(received)
            return None
        data = received[: end + 4]
        del received[: end + 4]
        self._searched_bytes = self._empty_lines_bytes = 0
        head = parse_request_head(data)
        self._body = body_framing(head)
        return head

    def _skip_empty_lines(self) -> None:
        """Remove empty lines before a request. Raises HttpRequestError if there are too many."""
        received = self._received
        size_bytes = len(received) - len(received.lstrip(b"\r\n"))
        self._empty_lines_bytes += size_bytes
        if self._empty_lines_bytes > EMPTY_LINES_LIMIT_BYTES:
            raise HttpRequestError(_BAD_REQUEST, "There are too many empty lines before the request.")
        del received[:size_bytes]
        self._searched_bytes = 0
