"""The handover of a websocket's connection to another protocol: HAND_OVER_EXTENSION of `api/asgi.py`.

A connection that is handed over costs what its new protocol holds. For uvicorn, the handshake has been answered and the
client has gone.
"""

import asyncio
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from stagebook.api.asgi import TakenConnection


class UnansweredWebSocket(Protocol):
    """The attributes of a websocket connection that a handover reads and sets. Most are uvicorn's."""

    transport: asyncio.Transport
    disconnected: bool
    handshake_complete: bool
    connections: set[Any]
    on_lost: Callable[[], None]


class _NoTransport(asyncio.Transport):
    """The transport of a websocket whose connection was handed over."""

    def is_closing(self) -> bool:
        return True

    def close(self) -> None:
        """Do nothing: uvicorn closes the connection of an application that has ended."""

    def abort(self) -> None:
        """Do nothing."""


class HandOver:
    """The function of HAND_OVER_EXTENSION. It does not keep the connection in memory."""

    __slots__ = ("_connection",)

    def __init__(self, connection: UnansweredWebSocket) -> None:
        self._connection = weakref.ref(connection)

    def __call__(self, taker: TakenConnection) -> asyncio.Transport | None:
        """Give the connection to `taker`, and return its transport.

        Return None if the handshake was answered, or the client has gone.
        """
        connection = self._connection()
        if connection is None:
            return None
        transport = connection.transport
        if connection.disconnected or connection.handshake_complete or transport.is_closing():
            return None
        connections: set[Any] = connection.connections  # the server only calls `shutdown` and `abort` of its members
        on_lost = connection.on_lost

        def release() -> None:
            connections.discard(taker)
            on_lost()

        taker.on_lost = release
        connections.remove(connection)
        connections.add(taker)
        connection.handshake_complete = connection.disconnected = True
        connection.transport = _NoTransport()
        taker.connection_made(transport)
        transport.set_protocol(taker)
        return transport
