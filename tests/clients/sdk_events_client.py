"""A client of the events websocket that behaves on the wire like Amazon's Web Broadcast SDK."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.clients.stage_client import TIMEOUT_SECONDS, token_payload

_numbers = itertools.count(1)


class SdkEventsClient:
    """The messages of one events websocket, in order. The caller receives them."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def receive(self) -> dict[str, Any]:
        """Return the next message. Raises ConnectionClosed after the last one."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def publishers(self) -> list[str]:
        """Return the ids of the participants in the next message, which must be a list."""
        message = await self.receive()
        assert message["type"] == "STAGE_STATE", message
        return [each["id"] for each in message["payload"]["participants"]]

    async def send(self, type_: str, **members: object) -> None:
        """Send a message."""
        await self.socket.send(json.dumps({"type": type_, **members}))

    async def others_until_pong(self) -> list[dict[str, Any]]:
        """Send a PING; return the messages that were sent before the answer to it."""
        await self.send("PING")
        messages: list[dict[str, Any]] = []
        while (message := await self.receive())["type"] != "PONG":
            messages.append(message)
        return messages

    async def close_code(self) -> int | None:
        """Wait until the server has closed the connection; return the close code."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self.socket.wait_closed()
        return self.socket.close_code

    def lose(self) -> None:
        """Lose the connection: no close frame."""
        self.socket.transport.abort()


@contextlib.asynccontextmanager
async def connect_sdk_events(token: str) -> AsyncIterator[SdkEventsClient]:
    """Connect as the participant of the token."""
    payload = token_payload(token)
    query = f"error_over_ws=1&topic={payload['topic']}/publishers&traceid=1-6b0a55d3-{next(_numbers):024x}"
    async with connect(f"{payload['events_url']}?{query}", subprotocols=[Subprotocol(token)]) as socket:
        assert socket.subprotocol == token
        yield SdkEventsClient(socket)
