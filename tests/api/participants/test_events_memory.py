"""What an events websocket keeps in memory on a large stage, over real sockets that are not read."""

import asyncio
import gc
import socket
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import uvloop

from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.manager.presence.watchers import PresentParticipant, StageSnapshot
from tests.api.participants.fake_manager import STAGE_ID, TOKEN, FakeManager
from tests.server.http.test_websocket_protocol import DEADLINE_SECONDS, running_server

SOCKETS = 80
PARTICIPANTS = 1_000
SNAPSHOTS = 20
HANDSHAKE = (
    f"GET /events/{STAGE_ID} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    f"Sec-WebSocket-Protocol: {TOKEN}\r\n\r\n"
).encode()
PRESENT = tuple(
    PresentParticipant(participant_id=f"p{number}", user_id="", attributes={"k": "v" * 1_000}, is_publishing=False)
    for number in range(PARTICIPANTS + SNAPSHOTS)
)


@contextmanager
def unread_websocket(port: int) -> Iterator[socket.socket]:
    """Open an events websocket and read nothing of it, not even the response to the handshake."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.sendall(HANDSHAKE)
        yield client


async def until_accepted(manager: FakeManager) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(manager.watchers) < SOCKETS:  # noqa: ASYNC110 - the fake manager notifies nobody
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)


def traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_a_socket_that_is_not_read_keeps_little_whatever_the_size_of_the_stage() -> None:
    manager = FakeManager()
    limits = RequestLimits(events_connections_per_participant=SOCKETS, attempts_burst=SOCKETS)
    api = ParticipantsApi(manager, limits=limits)

    async def measure() -> tuple[int, int, int]:
        async with running_server(api) as port:
            with ExitStack() as sockets:
                before = traced_bytes()
                for _ in range(SOCKETS):
                    sockets.enter_context(unread_websocket(port))
                await until_accepted(manager)
                opened = traced_bytes()
                for number in range(SNAPSHOTS):
                    newest = StageSnapshot(stage_id=STAGE_ID, participants=PRESENT[: PARTICIPANTS + number])
                    # Sockets stop in the middle of different snapshots, so that they share as little as possible.
                    for watcher in manager.watchers[number * SOCKETS // SNAPSHOTS :]:
                        watcher.show(newest)
                    await asyncio.sleep(0.05)
                shown = traced_bytes()
                size_bytes = sum(len(participant.attributes["k"]) for participant in newest.participants)
            return opened - before, shown - opened, size_bytes

    tracemalloc.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            idle_bytes, stage_bytes, list_bytes = runner.run(measure())
    finally:
        tracemalloc.stop()

    print(f"per socket: idle {idle_bytes / SOCKETS:,.0f}, for the stage {stage_bytes / SOCKETS:,.0f} bytes")
    assert idle_bytes / SOCKETS < 30_000
    # One list is kept for all sockets together.
    assert (stage_bytes - list_bytes) / SOCKETS < 10_000
