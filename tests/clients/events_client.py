"""A client of the events websocket. It sends its token as the subprotocol and one PING, and keeps the newest list."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.clients.stage_client import TIMEOUT_SECONDS, token_payload
from tests.clients.stage_state import Participants, StageStateClient


class EventsClient:
    """The messages that a participant has received on its events websocket.

    `participants` is the newest list by participant id, `types` are the types of all messages in order, and
    `exchange_replies` are the replies to EXCHANGE_TOKEN.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._state = StageStateClient()
        self.types: list[str] = []
        self.exchange_replies: list[dict[str, Any]] = []
        self._changed = asyncio.Condition()

    @property
    def participants(self) -> Participants:
        """The newest list by participant id."""
        return self._state.participants

    async def wait_until(self, holds: Callable[[Participants], bool]) -> Participants:
        """Wait until `holds` is true for the newest list; return the list."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: holds(self.participants))
        return self.participants

    async def wait_for_type(self, message_type: str) -> None:
        """Wait until a message of this type has arrived."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: message_type in self.types)

    async def wait_for_exchange_replies(self, count: int) -> None:
        """Wait until `count` replies to EXCHANGE_TOKEN have been received in total."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.exchange_replies) >= count)

    async def wait_closed(self) -> tuple[int | None, str | None]:
        """Wait until the server has closed the connection; return the close code and the reason."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason

    async def listen(self) -> None:
        """Receive messages until the connection is closed."""
        with contextlib.suppress(ConnectionClosed):
            async for data in self.socket:
                message = json.loads(data)
                async with self._changed:
                    self.types.append(message["type"])
                    if message["type"] in {"TOKEN_EXCHANGED", "EXCHANGE_TOKEN_ERROR"}:
                        self.exchange_replies.append(message)
                    if message["type"] in {"STAGE_STATE", "STAGE_STATE_CHANGE"}:
                        self._state.apply(message)
                    self._changed.notify_all()


@contextlib.asynccontextmanager
async def connect_events_client(token: str, *, takes_changes: bool = False) -> AsyncIterator[EventsClient]:
    """Connect as the participant of the token, to the URL in its payload."""
    payload = token_payload(token)
    offered = [Subprotocol(token), *([Subprotocol("stage-state-changes")] if takes_changes else [])]
    async with connect(f"{payload['events_url']}/{payload['topic']}", subprotocols=offered) as socket:
        assert socket.subprotocol == token
        client = EventsClient(socket)
        await socket.send(json.dumps({"type": "PING"}))
        listening = asyncio.create_task(client.listen())
        try:
            yield client
        finally:
            listening.cancel()
