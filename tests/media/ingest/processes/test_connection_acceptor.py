"""Accepting connections: what happens to one that cannot be handed over. The limits are tested with an RtmpServer."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from stagebook.media.ingest.processes import connection_acceptor
from stagebook.media.ingest.processes.connection_acceptor import ConnectionAcceptor
from stagebook.media.ingest.processes.connection_handover import HandedConnection
from stagebook.media.ingest.processes.connection_limits import ConnectionLimits
from tests.media.ingest.running_rtmp_server import until

HandOver = Callable[[HandedConnection, socket.socket], bool]


@asynccontextmanager
async def running_acceptor(
    hand_over: HandOver, *, max_connections: int = 1, drop: Callable[[str], None] = lambda _ask_id: None
) -> AsyncIterator[tuple[ConnectionAcceptor, int]]:
    """Run an acceptor. Yields it and its port."""
    clock = asyncio.get_running_loop().time
    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = ConnectionAcceptor(
            rtmp=listener,
            rtmps=None,
            limits=ConnectionLimits(max_connections=max_connections, max_per_network=100, clock=clock),
            hand_over=hand_over,
            drop=drop,
            clock=clock,
        )
        acceptor.start()
        try:
            yield acceptor, listener.getsockname()[1]
        finally:
            await acceptor.stop()


async def connect_until_closed(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()


async def test_a_connection_waits_until_a_process_can_take_it() -> None:
    attempts: list[HandedConnection] = []

    def hand_over(connection: HandedConnection, _accepted: socket.socket) -> bool:
        attempts.append(connection)
        return len(attempts) >= 3

    with capture_logs() as lines:
        async with running_acceptor(hand_over) as (acceptor, port):
            await connect_until_closed(port)
            assert attempts == [HandedConnection(ask_id="1", address="127.0.0.1", is_secure=False)] * 3
            acceptor.end("1")
            await connect_until_closed(port)
            assert attempts[-1].ask_id == "2"
    assert [line["event"] for line in lines].count("connection refused") == 0


async def test_an_error_with_one_connection_does_not_end_the_acceptor() -> None:
    handed: list[str] = []

    def hand_over(connection: HandedConnection, _accepted: socket.socket) -> bool:
        handed.append(connection.ask_id)
        if len(handed) == 1:
            raise ZeroDivisionError
        return True

    async with running_acceptor(hand_over) as (_, port):
        await connect_until_closed(port)
        await connect_until_closed(port)
        await until(lambda: handed == ["1", "2"], "the second connection, which the first does not count against")


async def test_connections_above_the_rate_wait_in_the_accept_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_acceptor, "MAX_ACCEPTS_PER_SECOND", 2)
    handed: list[str] = []

    def hand_over(connection: HandedConnection, _accepted: socket.socket) -> bool:
        handed.append(connection.ask_id)
        return True

    async with running_acceptor(hand_over, max_connections=100) as (_, port):
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        await until(lambda: len(handed) >= 3, "one more than come at once")
        for _ in range(100):
            await asyncio.sleep(0)
        assert handed == ["1", "2", "3"]
        for _, writer in clients:
            writer.close()
