"""A session with the VideoRoom plugin of Janus, over its websocket transport.

A request and its replies have the same `transaction`. The plugin answers some requests at once ("success"), others with
an acknowledgement ("ack") and an event that follows. A handle is the plugin's side of one peer connection. See "The
Janus API" and "VideoRoom plugin documentation" of Janus 1.1.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

SUBPROTOCOL: Final = Subprotocol("janus-protocol")
_PLUGIN: Final = "janus.plugin.videoroom"
_EXCHANGE_TIMEOUT_SECONDS: Final = 30.0

Json: TypeAlias = dict[str, Any]


class JanusError(Exception):
    """Janus refuses a request. The message is its own."""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """A description in SDP; `type` is "offer" or "answer"."""

    type: str
    sdp: str


class PluginData(msgspec.Struct, frozen=True, kw_only=True):
    """What the plugin answers."""

    data: Json = {}


class JanusReply(msgspec.Struct, frozen=True, kw_only=True):
    """A message of Janus, without the members that are not used."""

    janus: str
    transaction: str = ""
    sender: int = 0
    data: Json = {}
    error: Json = {}
    plugindata: PluginData = PluginData()
    jsep: Description | None = None


_decoder = msgspec.json.Decoder(JanusReply)


class JanusSession:
    """A session on an open websocket. Its requests are made one after another."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self._transactions = 0
        self._session_id: int | None = None

    async def start(self) -> None:
        """Create the session."""
        self._session_id = (await self._request({"janus": "create"})).data["id"]

    async def attach(self) -> int:
        """Create a handle and return its id."""
        handle_id: int = (await self._request({"janus": "attach", "plugin": _PLUGIN})).data["id"]
        return handle_id

    async def send(self, handle_id: int, body: Json, description: Description | None = None) -> str:
        """Send a request to the plugin. Return the SDP of its reply, or an empty string. Raises JanusError."""
        message: Json = {"janus": "message", "handle_id": handle_id, "body": body}
        if description is not None:
            message["jsep"] = description
        reply = await self._request(message)
        if "error" in reply.plugindata.data:
            raise JanusError(reply.plugindata.data["error"])
        return "" if reply.jsep is None else reply.jsep.sdp

    async def wait_until_connected(self, handle_id: int) -> None:
        """Wait until the handle's peer connection is up. No request may come between the connection and this call."""
        await self._receive(lambda reply: reply.janus == "webrtcup" and reply.sender == handle_id)

    async def _request(self, message: Json) -> JanusReply:
        self._transactions += 1
        transaction = str(self._transactions)
        session = {} if self._session_id is None else {"session_id": self._session_id}
        await self._websocket.send(msgspec.json.encode({**message, **session, "transaction": transaction}).decode())
        reply = await self._receive(lambda reply: reply.transaction == transaction and reply.janus != "ack")
        if reply.janus == "error":
            raise JanusError(reply.error["reason"])
        return reply

    async def _receive(self, is_awaited: Callable[[JanusReply], bool]) -> JanusReply:
        """Receive messages until the awaited one."""
        async with asyncio.timeout(_EXCHANGE_TIMEOUT_SECONDS):
            while True:
                reply = _decoder.decode(await self._websocket.recv())
                if is_awaited(reply):
                    return reply
