"""What a stage on a shared websocket takes in memory."""

import gc
import tracemalloc

from stagebook.api.participants.request_limits import RequestLimits
from tests.api.participants.fake_manager import TOKEN, FakeManager
from tests.api.participants.realtime.shared_socket import shared

STAGES = 200


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
