"""A client of the events websocket: the token as subprotocol, one PING at the start, snapshots kept."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.clients.stage_client import TIMEOUT_SECONDS, token_payload

Participants: TypeAlias = dict[str, dict[str, Any]]


class EventsClient:
    """What one participant is shown of its stage."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.participants: Participants = {}
        self.types: list[str] = []
        self.answers: list[dict[str, Any]] = []
        self._news = asyncio.Condition()

    async def wait_until(self, holds: Callable[[Participants], bool]) -> Participants:
        """Wait until the newest snapshot, by participant id, is as wanted; return it."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._news:
            await self._news.wait_for(lambda: holds(self.participants))
        return self.participants

    async def wait_for_type(self, message_type: str) -> None:
        """Wait until a message of this type has arrived."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._news:
            await self._news.wait_for(lambda: message_type in self.types)

    async def wait_for_answers(self, count: int) -> None:
        """Wait until so many answers to EXCHANGE_TOKEN have arrived in all."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._news:
            await self._news.wait_for(lambda: len(self.answers) >= count)

    async def wait_closed(self) -> tuple[int | None, str | None]:
        """Wait until the server has closed; return the code and the reason."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason

    async def listen(self) -> None:
        """Take messages until the socket closes."""
        with contextlib.suppress(ConnectionClosed):
            async for text in self.socket:
                message = json.loads(text)
                async with self._news:
                    self.types.append(message["type"])
                    if message["type"] in {"TOKEN_EXCHANGED", "EXCHANGE_TOKEN_ERROR"}:
                        self.answers.append(message)
                    if message["type"] == "STAGE_STATE":
                        entries = message["payload"]["participants"]
                        self.participants = {entry["id"]: entry for entry in entries}
                    self._news.notify_all()


@contextlib.asynccontextmanager
async def events_of(token: str) -> AsyncIterator[EventsClient]:
    """Connect as the token's participant, to the address that the token names."""
    payload = token_payload(token)
    async with connect(f"{payload['events_url']}/{payload['topic']}", subprotocols=[Subprotocol(token)]) as socket:
        assert socket.subprotocol == token
        client = EventsClient(socket)
        await socket.send(json.dumps({"type": "PING"}))
        listening = asyncio.create_task(client.listen())
        try:
            yield client
        finally:
            listening.cancel()
