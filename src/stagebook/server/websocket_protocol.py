"""uvicorn's websocket connection with two ends that it leaves open: a refused handshake and a peer that reads nothing.

Owns websocket connections. Must not know paths, doors or stages.
"""

from typing import TYPE_CHECKING

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One websocket."""

    async def send(self, message: "ASGISendEvent") -> None:
        """Send what the application says. A handshake that it refused with an HTTP answer is complete: without this,
        uvicorn logs each such refusal as an error of the server."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """Give up on a peer whose pong stayed away. Closing alone would wait until it has read what is still to be
        sent, which it may never do, and the application would not hear of the end until then."""
        super().keepalive_timeout()
        self.transport.abort()
