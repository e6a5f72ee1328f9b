"""Handing over connections: real sockets on both ends."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from stagebook.media.ingest.processes.connection_handover import HandedConnection, HandoverReceiver, HandoverSender
from tests.media.ingest.running_rtmp_server import until

HANDED = HandedConnection(ask_id="1", address="2001:db8::1", is_secure=True)


@pytest.fixture
def sender() -> Iterator[HandoverSender]:
    sender = HandoverSender()
    yield sender
    sender.close()


def hand_over(sender: HandoverSender) -> tuple[socket.socket, bool]:
    """Hand over one end of a new connection. Returns the other end, and whether it was taken."""
    near, far = socket.socketpair()
    with far:
        return near, sender.send(HANDED, far)


async def test_a_connection_arrives_with_its_description(sender: HandoverSender) -> None:
    arrived: asyncio.Future[tuple[HandedConnection, socket.socket | None]] = asyncio.get_running_loop().create_future()
    with socket.socket(fileno=socket.dup(sender.descriptor)) as far:
        receiver = HandoverReceiver(far, on_connection=lambda *each: arrived.set_result(each))
        receiver.start()
        client, is_taken = hand_over(sender)
        assert is_taken
        handed, accepted = await arrived
        receiver.stop()
    assert handed == HANDED
    assert accepted is not None
    with accepted, client:
        assert not accepted.getblocking()
        accepted.sendall(b"hello")
        assert client.recv(10) == b"hello"


async def test_a_connection_without_a_free_descriptor_is_reported_and_closed(sender: HandoverSender) -> None:
    arrived: list[socket.socket | None] = []
    with socket.socket(fileno=socket.dup(sender.descriptor)) as far:
        receiver = HandoverReceiver(far, on_connection=lambda _handed, accepted: arrived.append(accepted))
        client, _ = hand_over(sender)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(far.fileno())
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        try:
            receiver.start()
            await until(lambda: bool(arrived), "the report")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        receiver.stop()
    assert arrived == [None]
    with client:
        assert client.recv(1) == b""


def test_a_process_that_takes_no_connections_gets_few_and_a_lost_one_closes_them(sender: HandoverSender) -> None:
    clients = []
    while True:
        client, is_taken = hand_over(sender)
        if not is_taken:
            client.close()
            break
        clients.append(client)
        assert len(clients) < 50
    sender.close_untaken()
    for client in clients:
        with client:
            assert client.recv(1) == b""
    client, is_taken = hand_over(sender)
    client.close()
    assert is_taken
