"""A session with Janus, whose replies a websocket server sends as Janus 1.1 does."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from bench.forwarder.janus_session import SUBPROTOCOL, Description, JanusError, JanusSession

EVENT = {"janus": "event", "session_id": 7, "sender": 8}


def replies_to(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The replies, without their transaction."""
    if request["janus"] == "create":
        return [{"janus": "success", "data": {"id": 7}}]
    assert request["session_id"] == 7
    if request["janus"] == "attach":
        return [{"janus": "success", "session_id": 7, "data": {"id": 8}}]
    body = request["body"]
    if body["request"] == "unknown":
        return [{"janus": "error", "error": {"code": 454, "reason": "no such request"}}]
    if body["request"] == "join":
        return [{"janus": "ack"}, {**EVENT, "plugindata": {"data": {"videoroom": "event", "error": "no such room"}}}]
    answer = {"type": "answer", "sdp": f"answer to {request['jsep']['sdp']}"}
    return [{"janus": "ack"}, {**EVENT, "plugindata": {"data": {"videoroom": "joined"}}, "jsep": answer}]


async def answer_requests(websocket: ServerConnection) -> None:
    """Answer each request, between events that belong to no request."""
    async for data in websocket:
        request = json.loads(data)
        await websocket.send(json.dumps({"janus": "webrtcup", "session_id": 7, "sender": 9}))
        for reply in replies_to(request):
            await websocket.send(json.dumps({**reply, "transaction": request["transaction"]}))
        await websocket.send(json.dumps({"janus": "webrtcup", "session_id": 7, "sender": 8}))


@asynccontextmanager
async def attached() -> AsyncIterator[tuple[JanusSession, int]]:
    """A session and its handle."""
    async with serve(answer_requests, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", subprotocols=[SUBPROTOCOL]) as websocket:
            session = JanusSession(websocket)
            await session.start()
            yield session, await session.attach()


async def test_a_request_returns_the_description_of_its_event() -> None:
    async with attached() as (session, handle):
        offer = Description(type="offer", sdp="offer")
        assert await session.send(handle, {"request": "joinandconfigure"}, offer) == "answer to offer"


async def test_the_peer_connection_of_a_handle_is_awaited() -> None:
    async with attached() as (session, handle):
        with pytest.raises(JanusError):
            await session.send(handle, {"request": "unknown"})
        await session.wait_until_connected(handle)


async def test_an_error_of_the_plugin_is_raised() -> None:
    async with attached() as (session, handle):
        with pytest.raises(JanusError, match="no such room"):
            await session.send(handle, {"request": "join"})


async def test_an_error_of_the_core_is_raised() -> None:
    async with attached() as (session, handle):
        with pytest.raises(JanusError, match="no such request"):
            await session.send(handle, {"request": "unknown"})
