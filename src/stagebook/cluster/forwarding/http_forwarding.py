"""One HTTP request, sent to the owner and answered with its response: both bodies are streamed, and both are bounded.

    client  --body-->  `RepeatableBody`  --write-->  owner
    client  <--send--  this module       <--part---  owner

A part is asked for when the one before was taken, so a side that does not read stops the other one. A client that goes
away ends the connection to the owner, which then ends the request.

Only a request that the owner has not begun can be sent a second time. `forward` returns False for one that the owner
refused as not its own; then `RepeatableBody.rewind` gives the body again, as far as it is kept.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from stagebook.api.asgi import ABORT_EXTENSION, BOUND_OUTPUT_EXTENSION, Message, Receive, Scope, Send
from stagebook.cluster.forwarding.forwarded_head import (
    LINK_HEADER,
    NOT_OWNER,
    is_chunked,
    request_head,
    returned_headers,
)
from stagebook.cluster.forwarding.owner_connection import OwnerConnection, OwnerLostError, OwnerResponse

REPEAT_LIMIT_BYTES: Final = 262_144
"""What is kept of a body until the owner responds: the largest body of the AWS API."""
KEPT_LIMIT_BYTES: Final = 64 * 1_024 * 1_024
"""What is kept of all bodies together. Above it, a request that was sent to the wrong node gets 503."""
RESPONSE_TIMEOUT_SECONDS: Final = 90.0
"""From the head of a request to that of its response. The owner's own limits for bodies and answers are shorter."""


class _Framing(Protocol):
    def __call__(self, data: bytes, *, is_last: bool) -> bytes: ...


class LinkRefusedError(Exception):
    """The owner does not accept the signature of this node."""


class KeptBytes:
    """What all requests together keep of their bodies, and may keep."""

    def __init__(self, limit_bytes: int = KEPT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """Count bytes that are kept; return False, and count nothing, if they are too many."""
        if self.used_bytes + size_bytes > self._limit_bytes:
            return False
        self.used_bytes += size_bytes
        return True


class RepeatableBody:
    """The messages of a client, which can be read a second time from their beginning until `forget`.

    `budget` counts the bytes that are kept. A body that is too large for it cannot be read again.
    """

    def __init__(self, receive: Receive, budget: KeptBytes, received: Sequence[Message] = ()) -> None:
        """`received` are the messages that were received already."""
        self._receive = receive
        self._budget = budget
        self._kept = list(received)
        self._kept_bytes = 0
        self._position = 0
        self._is_kept = True

    async def receive(self) -> Message:
        """Return the next message, as `receive` of ASGI."""
        if self._position < len(self._kept):
            self._position += 1
            return self._kept[self._position - 1]
        message = await self._receive()
        if self._is_kept and message["type"] == "http.request":
            size_bytes = len(message.get("body", b""))
            if self._kept_bytes + size_bytes > REPEAT_LIMIT_BYTES or not self._budget.take(size_bytes):
                self.forget()
                return message
            self._kept_bytes += size_bytes
            self._kept.append(message)
            self._position += 1
        return message

    def rewind(self) -> bool:
        """Begin again. Return False if that is not possible any more."""
        self._position = 0
        return self._is_kept

    def forget(self) -> None:
        """Keep nothing more: what was received is not needed again. Idempotent."""
        self._budget.used_bytes -= self._kept_bytes
        self._kept_bytes = 0
        self._is_kept = False
        self._kept = []
        self._position = 0

    def for_router(self) -> Receive:
        """Return the messages from their beginning, for an application that reads them once."""
        if not self._kept:
            return self._receive
        self._is_kept = False
        self._position = 0
        return self.receive


async def forward(scope: Scope, body: RepeatableBody, send: Send, connection: OwnerConnection, *, seal: bytes) -> bool:
    """Send a request to the owner and its response to the client. Return False if the owner is not the owner.

    Raises LinkRefusedError, and OwnerLostError if the owner is lost before it has begun to respond. After that the
    client is disconnected, so that it does not take a part of the response for the whole.
    """
    connection.begin(is_head=scope.get("method") == "HEAD")
    message = await body.receive()
    if message["type"] == "http.disconnect":
        return True
    framing: _Framing = _chunk if is_chunked(scope) else _plain
    is_last = not message.get("more_body", False)
    await connection.write(request_head(scope, seal) + framing(message.get("body", b""), is_last=is_last))
    if is_last:
        connection.note_request_sent()
    client = asyncio.create_task(_follow_client(body, connection, framing, is_last=is_last))
    try:
        response = await _response(connection)
        link = next((value for name, value in response.headers if name == LINK_HEADER), None)
        if link == NOT_OWNER:
            return False
        if link is not None:
            raise LinkRefusedError
        body.forget()
        if not await _send_response(scope, send, connection, response):
            client.cancel()
            await _disconnect_client(scope, body)
    except OwnerLostError:
        # The end of a client ends the connection as well, and then there is nobody to answer.
        if not (client.done() and client.result()):
            raise
    finally:
        client.cancel()
    return True


async def _response(connection: OwnerConnection) -> OwnerResponse:
    try:
        async with asyncio.timeout(RESPONSE_TIMEOUT_SECONDS):
            return await connection.response()
    except TimeoutError:
        raise OwnerLostError from None


async def _follow_client(
    body: RepeatableBody, connection: OwnerConnection, framing: _Framing, *, is_last: bool
) -> bool:
    """Send the rest of the body, then wait until the client goes away. Return whether the client has gone first."""
    try:
        while (message := await body.receive())["type"] != "http.disconnect":
            if not is_last:
                is_last = not message.get("more_body", False)
                await connection.write(framing(message.get("body", b""), is_last=is_last))
                if is_last:
                    connection.note_request_sent()
    except OwnerLostError:
        return False
    if connection.is_complete or connection.is_lost:
        return False
    connection.abort()
    return True


async def _disconnect_client(scope: Scope, body: RepeatableBody) -> None:
    """End the connection of the client, and return when it has ended: until then, the response counts as unfinished."""
    scope["extensions"][ABORT_EXTENSION]()
    while (await body.receive())["type"] != "http.disconnect":
        pass


async def _send_response(scope: Scope, send: Send, connection: OwnerConnection, response: OwnerResponse) -> bool:
    """Send a response to the client; return False if it breaks off."""
    headers = returned_headers(response.headers)
    if not any(name == b"content-length" for name, _ in headers):
        # A stream: what the client has not read must not wait in the kernel.
        scope["extensions"][BOUND_OUTPUT_EXTENSION]()
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    while True:
        try:
            part = await connection.part()
        except OwnerLostError:
            return False
        has_ended = connection.has_ended
        await send({"type": "http.response.body", "body": part or b"", "more_body": not has_ended})
        if has_ended:
            return True


def _plain(data: bytes, *, is_last: bool) -> bytes:  # noqa: ARG001 - as `_chunk`
    return data


def _chunk(data: bytes, *, is_last: bool) -> bytes:
    """Return a part of a chunked body (RFC 9112 section 7.1)."""
    chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return chunk + b"0\r\n\r\n" if is_last else chunk
