"""A TCP connection as the ingest process has it, on the event loop it has and on the standard one."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from stagebook.media.ingest.encoder_socket import READ_BYTES, EncoderSocket, NotReadError, watch_for_loss
from tests.media.ingest.serving import unchecked_tls, write_certificate

Try = Callable[[EncoderSocket, socket.socket], Awaitable[None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Try], None]:
    """Runs something with a wire and the encoder's plain socket at the other end."""

    def run(attempt: Try) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(_with_wire(attempt))

    return run


async def _with_wire(attempt: Try) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    accepted.settimeout(0)
    near.settimeout(0)
    wire = await EncoderSocket.open(accepted, context=None, timeout_seconds=5)
    try:
        async with asyncio.timeout(30):
            await attempt(wire, near)
    finally:
        wire.abort()
        near.close()
        await asyncio.sleep(0)


async def everything(near: socket.socket) -> bytes:
    """What the encoder is sent until the end. Raises ConnectionResetError."""
    loop = asyncio.get_running_loop()
    data = b""
    while piece := await loop.sock_recv(near, 65_536):
        data += piece
    return data


def reset(near: socket.socket) -> None:
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    near.close()


def test_what_comes_is_read_in_fair_pieces(run: Callable[[Try], None]) -> None:
    async def attempt(wire: EncoderSocket, near: socket.socket) -> None:
        sent = bytes(range(256)) * 4_096
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(near, sent))
        received = b""
        while len(received) < len(sent):
            piece = await wire.read()
            assert 0 < len(piece) <= READ_BYTES
            received += piece
        assert received == sent
        await sending

    run(attempt)


def test_others_have_their_turn_between_the_pieces(run: Callable[[Try], None]) -> None:
    async def attempt(wire: EncoderSocket, near: socket.socket) -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(near, bytes(20 * READ_BYTES)))
        await asyncio.sleep(0.2)
        another = asyncio.create_task(other())
        pieces = 0
        for _ in range(4):
            await wire.read()
            pieces += 1
        assert turns >= pieces - 1
        sending.cancel()
        another.cancel()
        await asyncio.wait([sending, another])

    run(attempt)


def test_who_is_not_read_is_held_up(run: Callable[[Try], None]) -> None:
    async def attempt(_wire: EncoderSocket, near: socket.socket) -> None:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(near, bytes(100 << 20)))
        await asyncio.sleep(0.5)
        assert not sending.done()
        sending.cancel()
        await asyncio.wait([sending])

    run(attempt)


def test_the_end_is_no_bytes(run: Callable[[Try], None]) -> None:
    async def attempt(wire: EncoderSocket, near: socket.socket) -> None:
        near.send(b"last words")
        near.shutdown(socket.SHUT_WR)
        assert await wire.read() == b"last words"
        assert await wire.read() == b""
        assert wire.is_gone

    run(attempt)


def test_what_came_before_a_reset_is_read_before_it(run: Callable[[Try], None]) -> None:
    async def attempt(wire: EncoderSocket, near: socket.socket) -> None:
        near.send(b"last words")
        reset(near)
        await asyncio.sleep(0.1)
        assert not wire.is_gone
        assert await wire.read() == b"last words"
        with pytest.raises(ConnectionResetError):
            await wire.read()
        wire.write(b"nobody reads this")
        await wire.finish()

    run(attempt)


def test_the_last_words_are_read_although_the_encoder_still_sends(run: Callable[[Try], None]) -> None:
    async def attempt(wire: EncoderSocket, near: socket.socket) -> None:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(near, bytes(4 << 20)))
        await asyncio.sleep(0.1)
        wire.write(b"last words")
        finishing = asyncio.create_task(wire.finish())
        assert await everything(near) == b"last words"
        await sending
        near.close()
        await finishing

    run(attempt)


def test_an_encoder_that_does_not_close_is_not_waited_for(run: Callable[[Try], None]) -> None:
    async def attempt(wire: EncoderSocket, near: socket.socket) -> None:
        began = asyncio.get_running_loop().time()
        await wire.finish()
        assert asyncio.get_running_loop().time() - began < 10
        assert await everything(near) == b""

    run(attempt)


def test_an_encoder_that_does_not_read_is_an_error_before_much_waits(run: Callable[[Try], None]) -> None:
    async def attempt(wire: EncoderSocket, near: socket.socket) -> None:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        for _ in range(20_000):
            try:
                wire.write(bytes(4_096))
            except NotReadError:
                return
            await asyncio.sleep(0)
        raise AssertionError("eighty megabytes wait")

    run(attempt)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_over_tls_the_last_words_arrive_and_then_the_end(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    async def attempt() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*write_certificate(tmp_path))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0)
            connecting = asyncio.create_task(asyncio.open_connection(*listener.getsockname(), ssl=unchecked_tls()))
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
        wire = await EncoderSocket.open(accepted, context=context, timeout_seconds=20)
        reader, writer = await connecting
        writer.write(b"x" * 100_000)
        assert await wire.read() == b"x" * READ_BYTES
        wire.write(b"last words")
        finishing = asyncio.create_task(wire.finish())
        assert await reader.read() == b"last words"
        writer.close()
        await finishing

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(attempt())


def test_the_kernel_watches_for_silent_losses_too() -> None:
    with socket.socket() as watched:
        watch_for_loss(watched, silence_seconds=10)
        assert watched.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert watched.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        assert watched.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
