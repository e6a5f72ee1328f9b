"""A minimal parser of HTTP/1.1 responses with a Content-Length, for the load generator (RFC 9112 sections 2 and 6)."""

import msgspec

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


class ResponseError(Exception):
    """A response is not the expected one."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A response: its status, its head (status line and header fields) and its body."""

    status: int
    head: bytes
    body: bytes


def response_size(buffer: bytes) -> int | None:
    """Return the size in bytes of the first response in `buffer`, or None if its head is not complete yet.

    Raises ResponseError if the response has no Content-Length.
    """
    head_end = buffer.find(_HEAD_END)
    if head_end < 0:
        return None
    head = buffer[:head_end].lower()
    start = head.find(_LENGTH)
    if start < 0:
        raise ResponseError(f"a response without a length: {buffer[:head_end]!r}")
    line_end = head.find(b"\r\n", start + 2)
    length = head[start + len(_LENGTH) : line_end if line_end >= 0 else head_end]
    return head_end + len(_HEAD_END) + int(length)


def parse_response(buffer: bytes) -> Response:
    """Return the response. Raises ResponseError unless `buffer` is exactly one complete response."""
    if response_size(buffer) != len(buffer):
        raise ResponseError("not one complete response")
    head, _, body = buffer.partition(_HEAD_END)
    return Response(status=int(head.split(b" ", 2)[1]), head=head, body=body)
