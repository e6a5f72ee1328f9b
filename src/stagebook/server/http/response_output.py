"""The output of an HTTP connection: how a response is written, how it ends, and clients that do not read it.

uvicorn's request (`RequestResponseCycle`) closes the transport after the last response by itself. `ResponseTransport`
makes that graceful. It refers to its connection weakly, so that a connection is freed when its transport and its
requests have ended.
"""

import asyncio
import socket
import weakref

import msgspec

from stagebook.api.asgi import Application, Receive, Scope, Send
from stagebook.api.http_responses import HttpResponse, send_response
from stagebook.server.http.connection_flow import FlowOwner

UNSENT_SIZE_BYTES = 16_384
"""Bytes of a socket that the kernel holds before they are sent. Above this, the socket is not writable."""

_INTERIM, _LENGTH = b"HTTP/1.1 100", b"\r\ncontent-length: "
"""The beginning of an interim response, and the field of a head whose body follows, as uvicorn writes it."""

# The constant is missing in the socket module on platforms without the option.
_NOT_SENT_LOW_WATER_MARK: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class ResponseTransport:
    """The part of a transport that a request uses. It closes gracefully.

    uvicorn writes the head of a response and its body separately, which would be two system calls and two segments. A
    head with a length is held back until the body follows, or the response is complete.
    """

    def __init__(self, owner: FlowOwner, transport: asyncio.Transport) -> None:
        self._owner = weakref.ref(owner)
        self._transport = transport
        self._head: bytes | None = None
        self._is_head_next = False

    def begin_response(self) -> None:
        """Take what is written next, apart from an interim response, as the head of a response."""
        self._is_head_next = True

    def write(self, data: bytes) -> None:
        """Write a part of the response."""
        if self._head is not None:
            head, self._head = self._head, None
            # Not joined: a body can be large.
            self._transport.writelines((head, data) if data else (head,))
        elif self._is_head_next and not data.startswith(_INTERIM):
            self._is_head_next = False
            if _LENGTH in data:
                self._head = data
            else:
                self._transport.write(data)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write a head that was held back. The response is complete, or the connection ends."""
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)

    def bound_output(self) -> None:
        """See `BOUND_OUTPUT_EXTENSION`."""
        bound_output(self._transport)

    def abort(self) -> None:
        """See `ABORT_EXTENSION`."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Return whether nothing more can be written."""
        owner = self._owner()
        return owner is None or owner.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection after what was written."""
        self.flush()
        owner = self._owner()
        if owner is not None:
            owner.close_gracefully()


def bound_output(transport: asyncio.Transport) -> None:
    """Bound the buffers of a socket, so that one that is not read holds little, and stale data is not queued."""
    # With a mark of 0, a sender waits until the part before has been taken by the kernel.
    transport.set_write_buffer_limits(high=0)
    connection = transport.get_extra_info("socket")
    if connection is not None and _NOT_SENT_LOW_WATER_MARK is not None:
        connection.setsockopt(socket.IPPROTO_TCP, _NOT_SENT_LOW_WATER_MARK, UNSENT_SIZE_BYTES)


class OutputWatch:
    """Aborts a connection whose client reads nothing within the timeout. A slow client may take its time."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, timeout_seconds: float) -> None:
        self._transport = transport
        self._loop = loop
        self._timeout_seconds = timeout_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._unwritten_bytes = 0

    def start(self) -> None:
        """Begin to observe the write buffer, unless that has begun already."""
        if self._timer is None:
            self._unwritten_bytes = self._transport.get_write_buffer_size()
            self._timer = self._loop.call_later(self._timeout_seconds, self._on_timeout)

    def stop(self) -> None:
        """Stop observing the write buffer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        self._timer = None
        if self._transport.get_write_buffer_size() >= self._unwritten_bytes:
            self._transport.abort()
        else:
            self.start()


def refusal(status: int, message: str, request_id: bytes) -> Application:
    """Return an application that answers with an error, with the message where the AWS API has it, and closes."""

    async def respond(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = ((b"content-type", b"application/json"), (b"x-amzn-requestid", request_id), (b"connection", b"close"))
        body = msgspec.json.encode({"message": message})
        await send_response(send, HttpResponse(status=status, headers=headers, body=body))

    return respond
