"""EncoderSocket on real TCP connections, with the event loop of production (uvloop) and the standard one."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from stagebook.media.ingest.encoder_socket import READ_BYTES, EncoderSocket, NotReadError, watch_for_loss
from tests.media.ingest.running_rtmp_server import unchecked_tls, write_certificate

Scenario = Callable[[EncoderSocket, socket.socket], Awaitable[None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Run a scenario with an EncoderSocket and the client's socket at the other end."""

    def run(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(_run(scenario))

    return run


async def _run(scenario: Scenario) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    accepted.settimeout(0)
    client.settimeout(0)
    encoder_socket = await EncoderSocket.open(accepted, context=None, timeout_seconds=5)
    try:
        async with asyncio.timeout(30):
            await scenario(encoder_socket, client)
    finally:
        encoder_socket.abort()
        client.close()
        await asyncio.sleep(0)


async def receive_all(client: socket.socket) -> bytes:
    """Receive until the end of the connection. Raises ConnectionResetError."""
    loop = asyncio.get_running_loop()
    data = b""
    while chunk := await loop.sock_recv(client, 65_536):
        data += chunk
    return data


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


def test_a_read_returns_a_limited_number_of_bytes(run: Callable[[Scenario], None]) -> None:
    async def scenario(encoder_socket: EncoderSocket, client: socket.socket) -> None:
        sent = bytes(range(256)) * 4_096
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(client, sent))
        received = b""
        while len(received) < len(sent):
            chunk = await encoder_socket.read()
            assert 0 < len(chunk) <= READ_BYTES
            received += chunk
        assert received == sent
        await sending

    run(scenario)


def test_other_tasks_run_between_two_reads(run: Callable[[Scenario], None]) -> None:
    async def scenario(encoder_socket: EncoderSocket, client: socket.socket) -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(client, bytes(20 * READ_BYTES)))
        await asyncio.sleep(0.2)
        other_task = asyncio.create_task(other())
        reads = 0
        for _ in range(4):
            await encoder_socket.read()
            reads += 1
        assert turns >= reads - 1
        sending.cancel()
        other_task.cancel()
        await asyncio.wait([sending, other_task])

    run(scenario)


def test_a_client_is_slowed_down_while_it_is_not_read(run: Callable[[Scenario], None]) -> None:
    async def scenario(_encoder_socket: EncoderSocket, client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(client, bytes(100 << 20)))
        await asyncio.sleep(0.5)
        assert not sending.done()
        sending.cancel()
        await asyncio.wait([sending])

    run(scenario)


def test_the_end_of_the_connection_is_an_empty_read(run: Callable[[Scenario], None]) -> None:
    async def scenario(encoder_socket: EncoderSocket, client: socket.socket) -> None:
        client.send(b"last bytes")
        client.shutdown(socket.SHUT_WR)
        assert await encoder_socket.read() == b"last bytes"
        assert await encoder_socket.read() == b""
        assert encoder_socket.is_gone

    run(scenario)


def test_bytes_before_a_reset_are_read_before_the_error(run: Callable[[Scenario], None]) -> None:
    async def scenario(encoder_socket: EncoderSocket, client: socket.socket) -> None:
        client.send(b"last bytes")
        reset(client)
        await asyncio.sleep(0.1)
        assert not encoder_socket.is_gone
        assert await encoder_socket.read() == b"last bytes"
        with pytest.raises(ConnectionResetError):
            await encoder_socket.read()
        encoder_socket.write(b"nobody reads this")
        await encoder_socket.finish()

    run(scenario)


def test_finish_delivers_the_answer_to_a_client_that_still_sends(run: Callable[[Scenario], None]) -> None:
    async def scenario(encoder_socket: EncoderSocket, client: socket.socket) -> None:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(client, bytes(4 << 20)))
        await asyncio.sleep(0.1)
        encoder_socket.write(b"last bytes")
        finishing = asyncio.create_task(encoder_socket.finish())
        assert await receive_all(client) == b"last bytes"
        await sending
        client.close()
        await finishing

    run(scenario)


def test_finish_does_not_wait_long_for_the_client(run: Callable[[Scenario], None]) -> None:
    async def scenario(encoder_socket: EncoderSocket, client: socket.socket) -> None:
        began = asyncio.get_running_loop().time()
        await encoder_socket.finish()
        assert asyncio.get_running_loop().time() - began < 10
        assert await receive_all(client) == b""

    run(scenario)


def test_a_client_that_does_not_read_is_an_error(run: Callable[[Scenario], None]) -> None:
    async def scenario(encoder_socket: EncoderSocket, client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        for _ in range(20_000):
            try:
                encoder_socket.write(bytes(4_096))
            except NotReadError:
                return
            await asyncio.sleep(0)
        raise AssertionError("80 MB are queued without an error")

    run(scenario)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_finish_over_tls_delivers_the_answer_and_then_the_end(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    async def scenario() -> None:
        encoder_socket, reader, writer = await connect_over_tls(tmp_path)
        writer.write(b"x" * 100_000)
        assert await encoder_socket.read() == b"x" * READ_BYTES
        encoder_socket.write(b"last bytes")
        finishing = asyncio.create_task(encoder_socket.finish())
        assert await reader.read() == b"last bytes"
        writer.close()
        await finishing

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_finish_over_tls_drops_what_the_client_still_sends(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    errors: list[object] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
        encoder_socket, reader, writer = await connect_over_tls(tmp_path)
        flooding = asyncio.create_task(flood(writer))
        await asyncio.sleep(0.1)  # the receive buffer is full now, and the socket is paused
        encoder_socket.write(b"last bytes")
        answer, _ = await asyncio.gather(reader.read(10), encoder_socket.finish())
        assert answer == b"last bytes"
        flooding.cancel()
        writer.transport.abort()
        await asyncio.wait([flooding])

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())
    assert errors == []


async def connect_over_tls(
    folder: Path,
) -> tuple[EncoderSocket, asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_certificate(folder))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        connecting = asyncio.create_task(asyncio.open_connection(*listener.getsockname(), ssl=unchecked_tls()))
        accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
    encoder_socket = await EncoderSocket.open(accepted, context=context, timeout_seconds=20)
    return encoder_socket, *await connecting


async def flood(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while True:
            writer.write(bytes(1 << 20))
            await writer.drain()


def test_keepalive_and_user_timeout_are_set() -> None:
    with socket.socket() as client:
        watch_for_loss(client, silence_seconds=10)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
