"""The types of the ASGI interface, the header fields by name, and a wrapper that observes what an application sends.

An ASGI server calls an application once for each HTTP request or websocket. `scope` describes it (type, method, path,
header fields), `receive` waits for the next message from the client, and `send` passes a message to the client. A
message is a dictionary with a `type`, such as `http.request` or `websocket.close`.
Source: the ASGI specification, version 3.0, "HTTP & WebSocket ASGI Message Format".
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

TEXT_PARTS_EXTENSION = "stagebook.websocket.text_parts"
"""An extension of ASGI, a key of `scope["extensions"]`: the server sends a websocket message in parts.

The application sends `{"type": "websocket.send", "text_part": <pieces>, "more_parts": <bool>}` for each part. The
pieces are a sequence of bytes, which together are the UTF-8 text of the part. The server does not copy them.
"""

BOUND_OUTPUT_EXTENSION = "stagebook.http.bound_output"
"""An extension of ASGI: a function without arguments, for responses that stay open.

After it was called, `send` waits until the part before has left this process, and the kernel queues little of what the
client has not asked for yet.
"""

CUT_EXTENSION = "stagebook.http.cut"
"""An extension of ASGI: a function without arguments that closes the connection after what was sent. Only a testing
server has it."""

ABORT_EXTENSION = "stagebook.http.abort"
"""An extension of ASGI: a function without arguments that ends the connection of a response that cannot be completed,
so that its client does not take the beginning for the whole."""

HAND_OVER_EXTENSION = "stagebook.websocket.hand_over"
"""An extension of ASGI: a function that hands the connection of a websocket to another protocol (`asyncio.Protocol`),
before its handshake is answered. The application then sends and receives nothing more.

The argument is a `TakenConnection`. The function returns the transport, or None if the client has gone.
"""

DISCONNECT_REFUSED = "stagebook.refused"
"""A member of a `websocket.disconnect` message, true if the server has failed the connection: its client broke the
protocol or a bound of the server."""

Header: TypeAlias = tuple[bytes, bytes]
"""One header field: its name in lower case, and its value."""


class TakenConnection(asyncio.Protocol):
    """A protocol that takes the connection of a websocket over, see HAND_OVER_EXTENSION.

    Subclasses implement the methods below, and call `on_lost` in `connection_lost`.
    """

    __slots__ = ()

    on_lost: Callable[[], None]
    """Set by the server: frees the place of the connection."""

    def shutdown(self) -> None:
        """End the connection: the server stops."""
        raise NotImplementedError

    def abort(self) -> None:
        """End the connection at once."""
        raise NotImplementedError


class ObservedSend:
    """A `send` that records how far a response got before it passes each message on.

    `status` is the HTTP status of the response, 0 until `http.response.start`. `is_accepted` is true once a websocket
    handshake has been accepted.
    """

    __slots__ = ("_on_accepted", "is_accepted", "status", "unobserved")

    def __init__(self, send: Send, *, on_accepted: Callable[[], None] | None = None) -> None:
        """`on_accepted` is called when a websocket handshake is accepted."""
        self._on_accepted = on_accepted
        self.unobserved = send
        """The `send` itself, for messages that need not be observed."""
        self.status = 0
        self.is_accepted = False

    async def __call__(self, message: Message) -> None:
        """Record the message and send it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "websocket.accept":
            self.is_accepted = True
            if self._on_accepted is not None:
                self._on_accepted()
        await self.unobserved(message)


def read_headers(lines: Sequence[Header]) -> dict[bytes, bytes]:
    """Return the header fields of a request by name. The values of a repeated name are joined by commas."""
    headers = dict(lines)
    # Nearly no request repeats a name, so the loop below is rarely needed.
    if len(headers) != len(lines):
        joined: dict[bytes, list[bytes]] = {}
        for name, value in lines:
            joined.setdefault(name, []).append(value.strip())
        headers = {name: b",".join(values) for name, values in joined.items()}
    return headers
