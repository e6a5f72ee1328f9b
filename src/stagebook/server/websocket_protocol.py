"""uvicorn's websocket connection with two corrections: refused handshakes, and peers that do not read.

uvicorn logs a handshake that the application refuses with an HTTP response as an error, and it waits without a timeout
for a peer that neither answers pings nor reads.
"""

from typing import TYPE_CHECKING

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A websocket connection."""

    async def send(self, message: "ASGISendEvent") -> None:
        """Send a message of the application. Mark a handshake as complete once it was refused with an HTTP response."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """Abort the connection of a peer that did not answer a ping.

        uvicorn only closes the transport, which first waits until the peer has read all buffered data. A peer that does
        not read would keep the connection open, and the application would not be notified of its end.
        """
        super().keepalive_timeout()
        self.transport.abort()
