"""A participant of a scenario with media: WebRTC peers that publish a generated picture and tone, and watch others."""

import contextlib
from collections import Counter
from contextlib import AsyncExitStack

import httpx
import jwt
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from stagebook.demo.demo_peers import DemoPeer, DemoPublisher, DemoViewer, JoinFailedError
from stagebook.scenarios.played_server import PlayFailedError
from stagebook.scenarios.scenario import Action, ScenarioStep

_PUBLICATION = ""
"""The key of the own publication among the connections. The others have the ids of publishers."""


class MediaPeer:
    """Implements `Peer`."""

    def __init__(self, *, token: str, participant_id: str) -> None:
        self.participant_id = participant_id
        self._token = token
        self._connections: dict[str, DemoPeer] = {}
        self._events: ClientConnection | None = None

    async def act(self, step: ScenarioStep, *, publisher_id: str | None) -> Counter[str]:
        """As Peer.act. The events are known to the server only, so none are returned."""
        try:
            match step.do:
                case Action.JOIN:
                    await self._join()
                case Action.PUBLISH:
                    await self._open(_PUBLICATION, DemoPublisher(self._token))
                case Action.SUBSCRIBE if publisher_id is not None:
                    await self._open(publisher_id, DemoViewer(self._token, publisher_id=publisher_id))
                case Action.UNPUBLISH:
                    await self._close(_PUBLICATION)
                case Action.UNSUBSCRIBE if publisher_id is not None:
                    await self._close(publisher_id)
                case Action.LEAVE:
                    await self.close()
                case _:
                    raise PlayFailedError(f"a participant with media cannot do `{step.do}`")
        except (JoinFailedError, httpx.HTTPError, OSError, WebSocketException) as error:
            raise PlayFailedError(str(error) or type(error).__name__) from error
        return Counter()

    async def close(self) -> None:
        """Leave the stage and release all connections."""
        async with AsyncExitStack() as stack:
            for key in list(self._connections):
                stack.push_async_callback(self._close, key)
            if self._events is not None:
                stack.push_async_callback(self._events.close)
                self._events = None

    async def _join(self) -> None:
        payload = jwt.decode(self._token, options={"verify_signature": False})
        address = f"{payload['events_url']}/{payload['topic']}"
        self._events = await connect(address, subprotocols=[Subprotocol(self._token)], max_size=None)

    async def _open(self, key: str, peer: DemoPeer) -> None:
        await self._close(key)
        try:
            await peer.join()
        except BaseException:
            await peer.leave()
            raise
        self._connections[key] = peer

    async def _close(self, key: str) -> None:
        peer = self._connections.pop(key, None)
        if peer is not None:
            # The server may have ended the connection, or be gone.
            with contextlib.suppress(httpx.HTTPError):
                await peer.leave()
