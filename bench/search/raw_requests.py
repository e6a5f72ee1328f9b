"""Requests as bytes, and a keep-alive connection that sends one after the other and measures each."""

import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from bench.page.responses import Response, parse_response, response_size

_RECEIVE_SIZE_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60.0


def get_request(target: str, *, key: str) -> bytes:
    """Return a GET request with a bearer key."""
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode("ascii")


def refused_offer(token: str) -> bytes:
    """Return an offer to publish that the server refuses once the event of it is durable."""
    head = (
        f"POST /whip HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )
    return head.encode("ascii")


class Connection:
    """A connection to a server on this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def exchange(self, request: bytes) -> Response:
        """Send a request and return the response."""
        self._socket.sendall(request)
        received = b""
        while (size := response_size(received)) is None or len(received) < size:
            part = self._socket.recv(_RECEIVE_SIZE_BYTES)
            if not part:
                raise ConnectionError("the server closed the connection")
            received += part
        return parse_response(received)

    def milliseconds(self, requests: Sequence[bytes], *, status: int) -> list[float]:
        """Send requests one after the other; return the time of each until its response, which must have `status`."""
        times = []
        for request in requests:
            begin = time.perf_counter()
            response = self.exchange(request)
            times.append((time.perf_counter() - begin) * 1_000)
            assert response.status == status, response.body[:500]
        return times
