"""The framing of request bodies: where a body ends, and which bytes it has.

A body has a declared length, or it is chunked (RFC 9112 section 7.1):

    chunked-body = *( size [ ";" extension ] CRLF data CRLF ) "0" [ ";" extension ] CRLF *( trailer CRLF ) CRLF

Both decoders take bytes from the front of a buffer and return those of the body. They do a bounded amount of work per
call, so that one connection cannot occupy the event loop: CHUNKS_PER_CALL chunks, in a loop without a callback.

A chunk of one byte costs six bytes on the wire and as much work as one of 64 KiB, so the number of chunks of a body is
limited as well. Trailer fields count towards the limit of the head, and they are discarded: a recipient must not merge
them into the header fields unless their definition allows it (RFC 9110 section 6.5.1).
"""

import re

from stagebook.server.http.request_head import HEAD_LIMIT_BYTES, HttpRequestError, RequestHead

CHUNKS_PER_CALL = 64
MAXIMUM_CHUNKS = 8_192
"""Maximum number of chunks of a body: 32 bytes each for the largest body that an operation accepts."""
CHUNK_LINE_LIMIT_BYTES = 256
"""Maximum size of the line of a chunk's size and extensions."""
TRAILER_LIMIT_BYTES = 16_384
"""Maximum size of the trailer fields, even after a small head. A partial line is searched anew for each read."""

_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*")
"""A field line (RFC 9112 section 5). Of another line, two parsers may think differently."""
_SIZE_DIGITS = 12
_HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")
_BAD_REQUEST = 400
_TOO_LARGE = 413
_FIELDS_TOO_LARGE = 431


class LengthBody:
    """A body with a declared length, which may be 0."""

    needs_input = True

    def __init__(self, size_bytes: int) -> None:
        self._left_bytes = size_bytes
        self.is_complete = size_bytes == 0

    def decode(self, received: bytearray) -> bytes:
        """Remove bytes of the body from the front of `received` and return them."""
        if self._left_bytes < len(received):
            data = bytes(received[: self._left_bytes])
            del received[: self._left_bytes]
        else:
            data = bytes(received)
            received.clear()
        self._left_bytes -= len(data)
        self.is_complete = self._left_bytes == 0
        return data


class ChunkedBody:
    """A chunked body. `needs_input` is true when `decode` can do nothing more with what it was given."""

    def __init__(self, *, head_size_bytes: int) -> None:
        self.is_complete = False
        self.needs_input = False
        self._trailer_left_bytes = min(TRAILER_LIMIT_BYTES, HEAD_LIMIT_BYTES - head_size_bytes)
        self._is_in_trailers = False
        self._is_in_chunk = False
        self._left_bytes = 0  # of the data of the current chunk
        self._chunks = 0

    def decode(self, received: bytearray) -> bytes:
        """Remove at most CHUNKS_PER_CALL chunks from the front of `received`; return their data.

        Raises HttpRequestError: 400 for malformed framing, 413 for too many chunks, 431 for too many trailers.
        """
        parts: list[bytes] = []
        position = 0
        self.needs_input = False
        for _ in range(CHUNKS_PER_CALL):
            if self._is_in_chunk:
                following = self._take_data(received, position, parts)
            elif self._is_in_trailers:
                following = self._take_trailer(received, position)
            else:
                following = self._take_size(received, position)
            if following is None:
                self.needs_input = True
                break
            position = following
            if self.is_complete:
                break
        if self.needs_input and self._is_in_chunk and self._left_bytes:
            # The rest of the buffer is a part of a chunk.
            part = bytes(received[position : position + self._left_bytes])
            parts.append(part)
            self._left_bytes -= len(part)
            position += len(part)
        del received[:position]
        return b"".join(parts)

    def _take_size(self, received: bytearray, position: int) -> int | None:
        """Read the line before a chunk. Return the position behind it, or None if it is not complete."""
        end = received.find(b"\r\n", position, position + CHUNK_LINE_LIMIT_BYTES + 2)
        if end < 0:
            if len(received) - position > CHUNK_LINE_LIMIT_BYTES:
                raise HttpRequestError(_BAD_REQUEST, "The size line of a chunk is too long.")
            return None
        line = received[position:end]
        _require_one_line(line)
        digits = line.partition(b";")[0].rstrip(b" \t")
        # Not int() alone: it also accepts signs, underscores and "0x".
        if not 0 < len(digits) <= _SIZE_DIGITS or not _HEX_DIGITS.issuperset(digits):
            raise HttpRequestError(_BAD_REQUEST, "The size of a chunk must be a hexadecimal number.")
        self._left_bytes = int(digits, 16)
        if self._left_bytes == 0:
            self._is_in_trailers = True
        else:
            self._is_in_chunk = True
            self._chunks += 1
            if self._chunks > MAXIMUM_CHUNKS:
                raise HttpRequestError(_TOO_LARGE, f"A body can have at most {MAXIMUM_CHUNKS} chunks.")
        return end + 2

    def _take_data(self, received: bytearray, position: int, parts: list[bytes]) -> int | None:
        """Read the rest of a chunk with its line end. Return the position behind it, or None if it is not complete."""
        end = position + self._left_bytes
        if len(received) < end + 2:
            return None
        if received[end] != ord("\r") or received[end + 1] != ord("\n"):
            raise HttpRequestError(_BAD_REQUEST, "The data of a chunk must end with CRLF.")
        parts.append(bytes(received[position:end]))
        self._left_bytes = 0
        self._is_in_chunk = False
        return end + 2

    def _take_trailer(self, received: bytearray, position: int) -> int | None:
        """Discard a trailer field. The empty line completes the body."""
        end = received.find(b"\r\n", position)
        size_bytes = (len(received) if end < 0 else end) - position
        if size_bytes > self._trailer_left_bytes:
            raise HttpRequestError(_FIELDS_TOO_LARGE, "The trailer fields of the request are too large.")
        if end < 0:
            return None
        line = received[position:end]
        _require_one_line(line)
        if line and _TRAILER.fullmatch(line) is None:
            raise HttpRequestError(_BAD_REQUEST, "A trailer field must have a name and a value.")
        self._trailer_left_bytes -= size_bytes + 2
        self.is_complete = size_bytes == 0
        return end + 2


def _require_one_line(line: bytearray) -> None:
    """Raise HttpRequestError for a line with a CR or LF in it.

    Some proxies end a chunk extension or a trailer field there, as RFC 9112 section 2.2 allows. They would see other
    chunks, and so other requests, than this server (request smuggling by chunk extensions).
    """
    if b"\n" in line or b"\r" in line:
        raise HttpRequestError(_BAD_REQUEST, "The lines of a chunked body must end with CRLF.")


def body_framing(head: RequestHead) -> LengthBody | ChunkedBody:
    """Return the decoder of the body that follows a head."""
    if head.content_length is None:
        return ChunkedBody(head_size_bytes=head.size_bytes)
    return LengthBody(head.content_length)
