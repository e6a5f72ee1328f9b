"""What a stage on a shared websocket takes in memory."""

import asyncio
import gc
import tracemalloc
from typing import Any

from stagebook.api.participants.events_connection import EventsConnection
from stagebook.api.participants.realtime.shared_channel import SharedChannel
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.manager.presence.watchers import FarewellReason
from tests.api.participants.fake_manager import TOKEN, FakeManager
from tests.api.participants.realtime.shared_socket import CONNECTION_TOKEN, A, B, SharedSocket, shared, wrapped

STAGES = 200


def live_connections() -> int:
    """Return the number of the connections and channels that exist."""
    return sum(isinstance(each, SharedChannel | EventsConnection) for each in gc.get_objects())


async def test_a_stage_takes_little_memory() -> None:
    manager = FakeManager()
    most = STAGES + 20
    limits = RequestLimits(shared_stages=most, events_connections_per_participant=most, shared_messages_burst=most)
    async with shared(manager, limits=limits) as socket:
        for number in range(20):
            await socket.join(f"before{number}", TOKEN)
        manager.calls.clear()
        gc.collect()
        tracemalloc.start()
        try:
            for number in range(STAGES):
                await socket.join(f"stage{number}", TOKEN)
            manager.calls.clear()
            gc.collect()
            per_stage = tracemalloc.get_traced_memory()[0] / STAGES
        finally:
            tracemalloc.stop()
        socket.leave()
    print(f"per stage: {per_stage:,.0f} bytes")
    assert per_stage < 2_500


async def test_the_header_fields_of_the_handshake_are_not_kept() -> None:
    socket = SharedSocket(FakeManager())
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/sanic",
        "query_string": b"",
        "subprotocols": [CONNECTION_TOKEN, A],
        "headers": [(b"cookie", b"c" * 60_000)],
        "extensions": {},
    }
    socket.to_server.put_nowait({"type": "websocket.connect"})
    task = asyncio.ensure_future(socket.api(scope, socket.to_server.get, socket._on_sent))
    assert (await socket.receive())["type"] == "websocket.accept"
    await socket.receive_for("a")
    assert scope == {}
    socket.leave()
    await task


async def test_nothing_of_a_websocket_is_left_to_the_garbage_collector() -> None:
    manager = FakeManager()
    gc.collect()
    gc.disable()
    try:
        before = live_connections()  # of other tests, which may keep theirs
        async with shared(manager, A, B, "c~" + TOKEN) as socket:
            manager.watchers[0].farewell(FarewellReason.DISCONNECTED, "")
            await socket.receive_for("a")
            socket.send_text(wrapped("b", "aws:ivs:LEAVE_STAGE", code=0))
            socket.leave()
        manager.watchers.clear()
        manager.watcher = None
        await asyncio.sleep(0)
        left = live_connections() - before
    finally:
        gc.enable()
    assert left == 0
