"""What anybody sends to the HTTP port: heads and bodies, compared with a second parser."""

from collections.abc import Iterator

import h11

from stagebook.server.http.request_decoder import RequestDecoder
from stagebook.server.http.request_head import HEAD_LIMIT_BYTES, MAXIMUM_HEADER_FIELDS, HttpRequestError, RequestHead
from tests.fuzz.fuzz_target import FuzzTarget
from tests.fuzz.targets.http_requests import CHUNKED, GET, H2C, POST, UPGRADE

_LENGTH_FIELDS = {b"content-length", b"transfer-encoding"}
_Decoded = tuple[str, bytes, bytes]
"""Method, target and body of a request."""


def check_decoder(data: bytes) -> None:
    """The requests do not depend on the sizes of the reads, and another parser sees the same ones.

    Two parsers that disagree about where a request ends make request smuggling possible (RFC 9112 section 11.2).
    """
    requests, status = _decode(data, read_bytes=65_536)
    assert (requests, status) == _decode(data, read_bytes=11)
    assert sum(len(body) for _, _, body in requests) <= len(data)
    for request, other in zip(requests, _decode_with_h11(data), strict=False):
        assert request == other


def _decode(data: bytes, *, read_bytes: int) -> tuple[list[_Decoded], int | None]:
    """Return the complete requests in the input, and the status of the refusal that ends it."""
    decoder = RequestDecoder()
    requests: list[_Decoded] = []
    head: RequestHead | None = None
    body = b""
    try:
        for start in range(0, len(data), read_bytes):
            decoder.receive(data[start : start + read_bytes])
            while (event := decoder.next_event()) is not None:
                if isinstance(event, RequestHead):
                    head, body = event, b""
                    assert event.size_bytes <= HEAD_LIMIT_BYTES
                    assert len(event.headers) <= MAXIMUM_HEADER_FIELDS
                    # With both, proxies differ in which one ends the request.
                    assert not {name for name, _ in event.headers} >= _LENGTH_FIELDS
                    continue
                body += event.data
                if event.is_last and head is not None:
                    target = head.raw_path + (b"?" + head.query if head.query else b"")
                    requests.append((head.method, target, body))
    except HttpRequestError as error:
        return requests, error.status
    return requests, None


def _decode_with_h11(data: bytes) -> Iterator[_Decoded | str]:
    """Yield the complete requests with a path as their target, and the reason if the framing of a body is refused.

    h11 also refuses heads with two spaces in the request line, and reads trailers as if they were header fields.
    Nothing is compared from there on.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT_BYTES)
    connection.receive_data(data.lstrip(b"\r\n"))
    while connection.our_state is h11.IDLE:
        request = connection_error = None
        body = b""
        try:
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:
                    return
        except h11.RemoteProtocolError as error:
            connection_error = str(error)
        if request is None or not request.target.startswith(b"/") or set(request.target) & set(b"?#"):
            return
        if connection_error is not None:
            if connection_error.startswith(("illegal", "malformed")):
                yield connection_error
            return
        yield request.method.decode(), request.target, body
        _answer(connection)


def _answer(connection: h11.Connection) -> None:
    """Send a response, so that the connection goes on to the next request, if it is kept alive."""
    connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is h11.DONE:
        connection.start_next_cycle()


TARGETS = (
    FuzzTarget(
        name="http-decoder",
        check=check_decoder,
        max_size_bytes=16_384,
        seeds=(GET + POST + CHUNKED + GET, H2C + CHUNKED, UPGRADE),
        operations_per_byte=300,
    ),
)
