"""The live tail of a real server: clients that are cut, a server that is killed, and a thousand readers at once."""

import asyncio
import random
import resource
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from stagebook.book.event_id import position_id
from tests.clients.event_stream_client import EventSourceState, EventStreamConnection, event_stream
from tests.clients.events_client import connect_events_client
from tests.e2e.server import RunningServer, run_server, start_server
from tests.e2e.watch.bearer import create_key, revoke_key, wait_for_status
from tests.e2e.watch.event_maker import EventMaker, recorded_ids

CUTS = 100
READERS, EVENTS = 1_000, 100
START = position_id(0)
HEARTBEAT_SECONDS = "0.1"


def ready_key(server: RunningServer) -> str:
    """Return a new key that the server knows."""
    key = create_key(server, "reader")
    wait_for_status(server, "/watch/v1/me", key=key, status=200)
    return key


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """Allow this process to have so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def read_until_cut(server: RunningServer, client: EventSourceState, *, key: str, size_bytes: int) -> None:
    """Connect, receive so many bytes, and cut the connection there."""
    with suppress(ConnectionError):
        async with event_stream(server.endpoint_url, client, key=key) as connection:
            left = size_bytes
            while left and await connection.read(1 if left == 1 else min(left, 997)):
                left = max(left - 997, 0)


async def read_all(server: RunningServer, client: EventSourceState, *, key: str, last_id: str) -> None:
    """Follow the stream until this event."""
    async with event_stream(server.endpoint_url, client, key=key) as connection:
        while last_id not in client.ids:
            assert await connection.read()


@pytest.mark.slow
async def test_a_client_that_is_cut_a_hundred_times_misses_nothing_and_gets_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(7)
    with run_server(tmp_path / "data") as server:
        key = ready_key(server)
        maker = EventMaker(server)
        maker.make(20)
        client = EventSourceState(START)
        making = asyncio.create_task(asyncio.to_thread(maker.make, 300))
        while client.connections < CUTS:
            await read_until_cut(server, client, key=key, size_bytes=chance.randrange(1, 4_000))
        await making
        maker.close()
        recorded = recorded_ids(server.data)
        await read_all(server, client, key=key, last_id=recorded[-1])
    assert len(recorded) == 320
    assert client.ids == recorded


async def test_a_client_follows_over_a_kill_and_a_clean_end_of_the_server(tmp_path: Path) -> None:
    chance = random.Random(11)
    data = tmp_path / "data"
    server = await asyncio.to_thread(start_server, data, watch_heartbeat_seconds=HEARTBEAT_SECONDS)
    key = ready_key(server)
    maker = EventMaker(server)
    client = EventSourceState(START)
    for run in range(3):
        making = asyncio.create_task(asyncio.to_thread(maker.make, 60))
        while not making.done():
            await read_until_cut(server, client, key=key, size_bytes=chance.randrange(1, 9_000))
        await making
        known = recorded_ids(data)[-1]
        async with event_stream(server.endpoint_url, client, key=key) as connection:
            if run == 1:
                while known not in client.ids:
                    assert await connection.read()
            await asyncio.to_thread(server.stop if run == 1 else server.kill)
            while await connection.read():
                pass
        server = await asyncio.to_thread(start_server, data, watch_heartbeat_seconds=HEARTBEAT_SECONDS)
        maker.on(server)
    try:
        await asyncio.to_thread(maker.make, 1)
        recorded = recorded_ids(data)
        await read_all(server, client, key=key, last_id=recorded[-1])
    finally:
        maker.close()
        server.stop()
    assert client.disconnects == ["STOPPING"]
    assert client.ids == recorded


async def read_events(connection: EventStreamConnection, client: EventSourceState, count: int) -> None:
    while len(client.ids) < count:
        assert await connection.read()


@pytest.mark.slow
async def test_a_thousand_readers_at_once_get_every_event(tmp_path: Path) -> None:
    with open_files(2 * READERS), run_server(tmp_path / "data") as server:
        key = ready_key(server)
        maker = EventMaker(server)
        clients = [EventSourceState() for _ in range(READERS)]
        async with AsyncExitStack() as connections:
            opened = [
                await connections.enter_async_context(event_stream(server.endpoint_url, each, key=key))
                for each in clients
            ]
            for connection, client in zip(opened, clients, strict=True):
                while not client.retry_ms:
                    assert await connection.read()
            making = asyncio.create_task(asyncio.to_thread(maker.make, EVENTS))
            await asyncio.gather(*(read_events(*each, EVENTS) for each in zip(opened, clients, strict=True)))
            await making
        maker.close()
        recorded = recorded_ids(server.data)
    assert len(recorded) == EVENTS
    assert all(client.ids == recorded for client in clients)


async def test_filters_apply_to_the_past_and_to_what_happens_now(server: RunningServer) -> None:
    key = ready_key(server)
    maker = EventMaker(server)
    maker.make(8)
    client, other = EventSourceState(START), EventSourceState(START)
    query = f"?stage={maker.stage_arn}&user=user-1&error=INVALID_VIDEO_CODEC&name=PUBLISH_ERROR&name=JOINED"
    async with (
        event_stream(server.endpoint_url, client, key=key, query=query) as connection,
        event_stream(server.endpoint_url, other, key=key, query=f"{query}&cause=client") as other_connection,
    ):
        await read_events(connection, client, 2)
        maker.make(8)
        await read_events(connection, client, 4)
        assert await other_connection.read()
    maker.close()
    assert (client.names, other.ids) == (["PUBLISH_ERROR"] * 4, [])


async def test_the_stream_of_a_key_that_is_revoked_ends(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", watch_heartbeat_seconds=HEARTBEAT_SECONDS) as server:
        key = ready_key(server)
        client = EventSourceState()
        async with event_stream(server.endpoint_url, client, key=key) as connection:
            assert await connection.read()
            await asyncio.to_thread(revoke_key, server, key)
            while await connection.read():
                pass
        assert client.disconnects == ["ACCESS_ENDED"]
        assert client.comments > 0
        async with event_stream(server.endpoint_url, client, key=key) as connection:
            while await connection.read():
                pass
            assert connection.status == 401


async def test_an_id_that_the_book_cannot_have_issued_is_refused(server: RunningServer) -> None:
    newer = EventSourceState(position_id(1 << 62))
    async with event_stream(server.endpoint_url, newer, key=ready_key(server)) as connection:
        while await connection.read():
            pass
    assert connection.status == 400
    assert b'"detail":"Last-Event-ID: must be the id of an event or a position' in connection.body


async def test_the_last_events_of_a_shutdown_reach_the_streams(tmp_path: Path) -> None:
    with run_server(tmp_path / "data") as server:
        key = ready_key(server)
        ivs = server.client()
        stage = ivs.create_stage(name="ending")["stage"]
        token = ivs.create_participant_token(stageArn=stage["arn"], capabilities=["SUBSCRIBE"])["participantToken"]
        client = EventSourceState()
        async with event_stream(server.endpoint_url, client, key=key) as connection:
            assert await connection.read()
            async with connect_events_client(token["token"]):
                await read_events(connection, client, 1)
                stopping = asyncio.create_task(asyncio.to_thread(server.stop))
                while await connection.read():
                    pass
                await stopping
        assert (client.names, client.disconnects) == (["JOINED", "LEFT"], ["STOPPING"])
        assert client.ids == recorded_ids(server.data)
