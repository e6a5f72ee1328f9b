"""An HTTP/1.1 connection to the internal server of an owner, with one request at a time.

httptools parses the responses, as it parses the requests of the server. An HTTP client library would cost several times
the CPU of the whole request, and hides what decides here: whether the owner can have carried out a request.

Both directions are bounded. `write` returns when the socket has taken all but WRITE_LIMIT_BYTES; reading pauses while
more than READ_LIMIT_BYTES of a response wait for the client.
"""

import asyncio
import collections
import socket
from collections.abc import Callable
from typing import Final, cast

import httptools
import msgspec

from stagebook.api.asgi import Header
from stagebook.api.light_event import LightEvent

READ_LIMIT_BYTES: Final = 65_536
WRITE_LIMIT_BYTES: Final = 65_536
MAXIMUM_HEADER_FIELDS: Final = 128
MAXIMUM_HEAD_BYTES: Final = 131_072
KEEPALIVE_IDLE_SECONDS: Final = 5
KEEPALIVE_INTERVAL_SECONDS: Final = 2
KEEPALIVE_PROBES: Final = 3
"""A host that is gone, or cut off, is noticed within 11 seconds, also while a connection is quiet."""


class OwnerLostError(Exception):
    """The connection to the owner ended before the response was complete. The request may have been carried out."""


class OwnerResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a response. `headers` have lower-case names."""

    status: int
    headers: list[Header]


class OwnerConnection(asyncio.Protocol):
    """One connection. `on_lost` is called when it has ended."""

    def __init__(self, *, on_lost: Callable[["OwnerConnection"], None]) -> None:
        self._on_lost = on_lost
        self._writable = LightEvent(is_set=True)
        self._changed = LightEvent()
        self.is_lost = False
        self.idle_since_seconds = 0.0
        self._is_awaiting = False
        self._reset(is_head=False)

    def _reset(self, *, is_head: bool) -> None:
        self._is_head = is_head
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[Header] = []
        self._head_bytes = 0
        self._response: OwnerResponse | None = None
        self._parts: collections.deque[bytes] = collections.deque()
        self._held_bytes = 0
        self._is_paused = False
        self._keeps_alive = False
        self._is_request_sent = False
        self.is_complete = False
        """Whether the response has arrived to its end. Parts of it may still be waiting."""

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound the buffers, and let the kernel notice a host that is gone."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_LIMIT_BYTES)
        probe_quiet_connection(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name of asyncio
        """Wake the tasks that wait for the owner."""
        self.is_lost = True
        self._writable.set()
        self._changed.set()
        # The parser refers to this object: without this, only the garbage collector would free both.
        del self._parser
        self._on_lost(self)

    def pause_writing(self) -> None:
        """Let `write` wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `write` go on."""
        self._writable.set()

    def abort(self) -> None:
        """End the connection at once. The owner takes it as a client that has gone."""
        self._transport.abort()

    def close(self) -> None:
        """End a connection that is not in use."""
        self._transport.close()

    # The request.

    def begin(self, *, is_head: bool) -> None:
        """Begin the next request. `is_head`: its response has no body whatever it declares."""
        self._reset(is_head=is_head)
        self._is_awaiting = True

    async def write(self, data: bytes) -> None:
        """Send a part of the request. Raises OwnerLostError."""
        if self.is_lost:
            raise OwnerLostError
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    def note_request_sent(self) -> None:
        """Remember that the request is complete, so that the connection can be used again after the response."""
        self._is_request_sent = True

    # The response.

    async def response(self) -> OwnerResponse:
        """Return the head of the response. Raises OwnerLostError."""
        while self._response is None:
            await self._wait()
        return self._response

    async def part(self) -> bytes | None:
        """Return the next part of the body, None after the last one. Raises OwnerLostError."""
        while not self._parts:
            if self.is_complete:
                return None
            await self._wait()
        data = self._parts.popleft()
        if self._parts:
            data += b"".join(self._parts)
            self._parts.clear()
        self._held_bytes = 0
        if self._is_paused and not self.is_lost:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    @property
    def has_ended(self) -> bool:
        """Whether the response is complete and all its parts were taken."""
        return self.is_complete and not self._parts

    @property
    def is_reusable(self) -> bool:
        """Whether another request can be sent over this connection."""
        return self.has_ended and self._is_request_sent and self._keeps_alive and not self.is_lost

    async def _wait(self) -> None:
        if self.is_lost:
            raise OwnerLostError
        self._changed.clear()
        await self._changed.wait()

    def data_received(self, data: bytes) -> None:
        """Parse a part of the response. An owner that sends anything else is disconnected."""
        if not self._is_awaiting:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()
            return
        if self._held_bytes > READ_LIMIT_BYTES and not self._is_paused and not self.is_complete:
            self._is_paused = True
            self._transport.pause_reading()
        self._changed.set()

    # Callbacks of httptools.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field of the response. Raises OwnerLostError above the limits."""
        self._head_bytes += len(name) + len(value)
        if len(self._headers) >= MAXIMUM_HEADER_FIELDS or self._head_bytes > MAXIMUM_HEAD_BYTES:
            raise OwnerLostError
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Take the head, unless it is that of an interim response (RFC 9110 section 15.2)."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []
            return
        self._response = OwnerResponse(status=status, headers=self._headers)
        self._keeps_alive = self._parser.should_keep_alive() and not self._is_head
        if self._is_head:
            self._end()

    def on_body(self, data: bytes) -> None:
        """Hold a part of the body."""
        if not self.is_complete:
            self._parts.append(data)
            self._held_bytes += len(data)

    def on_message_complete(self) -> None:
        """Note the end of the response."""
        if self._response is not None:
            self._end()

    def _end(self) -> None:
        self.is_complete = True
        self._is_awaiting = False


def probe_quiet_connection(transport: asyncio.BaseTransport) -> None:
    """Let the kernel probe the other host while a connection is quiet, as far as the platform can."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        # Also for data that is not acknowledged, which probes do not cover (tcp(7)).
        ("TCP_USER_TIMEOUT", 1_000 * (KEEPALIVE_IDLE_SECONDS + KEEPALIVE_INTERVAL_SECONDS * KEEPALIVE_PROBES)),
    )
    for name, value in options:
        option: int | None = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
