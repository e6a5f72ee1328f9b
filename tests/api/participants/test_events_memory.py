"""What an events websocket keeps in memory on a large stage, over real sockets that are not read."""

import asyncio
import gc
import resource
import socket
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest
import uvloop

from stagebook.api.participants.events_websocket import CHANGES_SUBPROTOCOL
from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.api.participants.stage_state_messages import StageStateEncoder
from stagebook.manager.presence.watchers import PresentParticipant, StageChange, StageSnapshot, StageWatcher
from tests.api.participants.fake_manager import STAGE_ID, TOKEN, FakeManager
from tests.server.http.test_websocket_protocol import DEADLINE_SECONDS, LIMITS, running_server

SOCKETS = 100
FEW_SOCKETS = 10
LARGE_STAGE, FULL_STAGE = 400, 4_500
"""Participants with attributes of 1 KB. The list of the full stage has 5 MB."""
BEFORE = 300
"""Sockets that are opened before the measured ones, so that the process has grown to its working size."""
MEASURED = 1_200
AT_ONCE = 50
SMAPS = Path("/proc/self/smaps_rollup")
HANDSHAKE = (
    f"GET /events/{STAGE_ID} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    f"Sec-WebSocket-Protocol: {TOKEN}\r\nCookie: {'c' * 8_000}\r\n\r\n"
).encode()
"""The header fields may be large; they must not stay in memory."""
CHANGES_HANDSHAKE = HANDSHAKE.replace(TOKEN.encode(), f"{TOKEN}, {CHANGES_SUBPROTOCOL}".encode())
CHANGES = 40
"""Changes of one participant each that wait for a client."""
PRESENT = tuple(
    PresentParticipant(
        participant_id=f"{zlib.crc32(bytes([number >> 8, number & 255])):08x}",
        user_id="",
        attributes={"k": "v" * 1_000},
        is_publishing=False,
    )
    for number in range(FULL_STAGE + SOCKETS)
)


def unread_websocket(port: int, handshake: bytes = HANDSHAKE) -> socket.socket:
    """Open an events websocket and read nothing of it, not even the response to the handshake."""
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.sendall(handshake)
    return client


def show_all(watchers: list[StageWatcher], newest: StageSnapshot) -> None:
    """Show watchers the newest list, or changes."""
    changes = [
        StageChange(stage_id=STAGE_ID, base_sequence_number=0, sequence_number=200, updated=PRESENT[each : each + 1])
        for each in range(CHANGES)
    ]
    for watcher in watchers:
        if not watcher.takes_changes:
            watcher.show(newest)
    for change in changes:
        for watcher in watchers:
            if watcher.takes_changes:
                watcher.show_change(change)


async def until_accepted(manager: FakeManager, sockets: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(manager.watchers) < sockets:  # noqa: ASYNC110 - the fake manager notifies nobody
            await asyncio.sleep(0.001)


def resident_bytes() -> int:
    """Return the memory of this process that it shares with no other."""
    gc.collect()
    fields = dict(line.split(":") for line in SMAPS.read_text(encoding="ascii").splitlines()[1:])
    return int(fields["Private_Dirty"].split()[0]) * 1_024


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """Allow this process to have so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("participants", [LARGE_STAGE, pytest.param(FULL_STAGE, marks=pytest.mark.slow)])
def test_a_socket_that_is_not_read_keeps_little_whatever_the_size_of_the_stage(participants: int) -> None:
    async def measure(count: int) -> tuple[int, int]:
        """Return what so many sockets take, and the size of the stage's list."""
        manager = FakeManager()
        limits = RequestLimits(events_connections_per_participant=count, attempts_burst=count)
        api = ParticipantsApi(manager, limits=limits)
        async with running_server(api, limits=msgspec.structs.replace(LIMITS, connections=count + 1)) as port:
            with ExitStack() as sockets:
                before = traced_bytes()
                for number in range(count):
                    sockets.enter_context(unread_websocket(port, CHANGES_HANDSHAKE if number % 2 else HANDSHAKE))
                await until_accepted(manager, count)
                await asyncio.sleep(0.1)
                for number in range(count):
                    newest = StageSnapshot(
                        stage_id=STAGE_ID,
                        participants=PRESENT[: participants + number],
                        sequence_number=number + 1,
                    )
                    # Each socket stops in the middle of another list, so that they share as little as possible.
                    manager.watchers[number].show(newest)
                    await asyncio.sleep(0.01)
                show_all(manager.watchers, newest)
                await asyncio.sleep(0.1)
                shown = traced_bytes()
                size_bytes = StageStateEncoder().encode(newest).size_bytes
            return shown - before, size_bytes

    tracemalloc.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            few_bytes, list_bytes = runner.run(measure(FEW_SOCKETS))
            many_bytes, _ = runner.run(measure(SOCKETS))
    finally:
        tracemalloc.stop()

    # What all sockets share is in both figures: one list, and what the process makes once.
    per_socket = (many_bytes - few_bytes) / (SOCKETS - FEW_SOCKETS)
    print(f"per socket: {per_socket:,.0f} bytes; shared: {few_bytes - FEW_SOCKETS * per_socket - list_bytes:,.0f}")
    assert 5_000 < per_socket < 20_000
    assert few_bytes - FEW_SOCKETS * per_socket < list_bytes + 500_000


def resident_bytes_per_socket() -> float:
    """Open sockets in this process; return by how much its memory has grown for each of them."""
    manager = FakeManager()
    most = BEFORE + MEASURED
    api = ParticipantsApi(manager, limits=RequestLimits(events_connections_per_participant=most, attempts_burst=most))

    async def measure() -> float:
        async with running_server(api, limits=msgspec.structs.replace(LIMITS, connections=most + 1)) as port:
            with ExitStack() as sockets:
                for count in (BEFORE, most):
                    before = resident_bytes()
                    for opened in range(len(manager.watchers), count):
                        sockets.enter_context(unread_websocket(port))
                        if opened % AT_ONCE == AT_ONCE - 1:
                            await until_accepted(manager, opened + 1)
                return (resident_bytes() - before) / MEASURED

    with open_files(2 * most + 500), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure())


@pytest.mark.skipif(not SMAPS.exists(), reason="needs Linux")
def test_the_memory_of_the_process_grows_by_less_than_20_kb_for_each_socket() -> None:
    """tracemalloc does not see what uvloop, libuv and the allocator take.

    In a process of its own: this one has memory that it does not use.
    """
    code = f"from {__name__} import resident_bytes_per_socket; print(resident_bytes_per_socket())"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    per_socket = float(done.stdout)
    print(f"per socket: {per_socket:,.0f} bytes of the process")
    assert 5_000 < per_socket < 20_000
