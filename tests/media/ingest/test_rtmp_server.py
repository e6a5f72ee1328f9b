"""Strangers at the door: too many, too slow, too loud, or guessing keys. Who behaves is served all the same."""

import asyncio
import socket
from pathlib import Path

import pytest

from stagebook.media.ingest.connection_limits import MAX_REFUSALS
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.rtmp_server import IngestServer
from stagebook.media.port import CloseCause, Closed
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.media.ingest.serving import Serving, first_second, send, serving, unchecked_tls, until

IMPATIENT = IngestSettings(connect_timeout_seconds=0.5)


async def connect(it: Serving, scheme: str = "rtmp") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", it.port(scheme))


async def until_closed(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(20):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass


async def serves(it: Serving, connection_id: str = "c") -> None:
    """An encoder that behaves is served."""
    async with it.encoder() as encoder:
        await it.let_in(encoder, connection_id)
        pictures = it.pictures()
        await send(encoder, first_second())
        await until(lambda: it.pictures() >= pictures + 30, "a second of pictures")
        await encoder.unpublish()
        await it.told(Closed(connection_id=connection_id, cause=CloseCause.PEER_CLOSED))


@pytest.mark.parametrize("data", [b"", b"\x03", b"\x03" + bytes(1536)], ids=["nothing", "a byte", "a handshake"])
async def test_whoever_names_no_key_in_time_is_closed(data: bytes) -> None:
    async with serving(IMPATIENT) as it:
        reader, writer = await connect(it)
        writer.write(data)
        await until_closed(reader)
        writer.close()
        assert it.facts == []


async def test_a_byte_now_and_then_wins_no_time() -> None:
    async with serving(IMPATIENT) as it:
        reader, writer = await connect(it)
        began = asyncio.get_running_loop().time()
        closing = asyncio.create_task(until_closed(reader))
        writer.write(b"\x03")
        while not closing.done():
            writer.write(b"\0")
            await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() - began < 10
        writer.close()


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01", b"\x03" + bytes(1536)], ids=["nothing", "a part", "no TLS"])
async def test_a_tls_handshake_that_does_not_end_is_ended(data: bytes) -> None:
    async with serving(IMPATIENT, with_tls=True) as it:
        reader, writer = await connect(it, "rtmps")
        writer.write(data)
        await until_closed(reader)
        writer.close()
        assert it.facts == []
        await serves(it)


async def test_the_time_for_a_key_counts_from_the_connection_and_not_from_the_end_of_tls() -> None:
    async with serving(IMPATIENT, with_tls=True) as it:
        began = asyncio.get_running_loop().time()
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port("rtmps"), ssl=unchecked_tls())
        await until_closed(reader)
        assert asyncio.get_running_loop().time() - began < 5
        writer.close()


async def test_one_address_has_its_share_of_connections_and_gets_it_back() -> None:
    async with serving(IngestSettings(max_connections_per_address=3)) as it:
        held = [await connect(it) for _ in range(3)]
        await asyncio.sleep(0.1)
        reader, writer = await connect(it)
        await until_closed(reader)
        writer.close()
        for _, writer in held:
            writer.close()
        await until_served(it)


async def until_served(it: Serving) -> None:
    """The server has noticed that others are gone when an encoder is served."""
    for attempt in range(100):
        try:
            await serves(it, f"c{attempt}")
        except (ConnectionError, EOFError):
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("nobody is served any more")


async def test_a_flood_of_connections_ends_no_stream_and_leaves_nothing() -> None:
    async with (
        serving(IngestSettings(max_connections=20, max_connections_per_address=20)) as it,
        it.encoder() as encoder,
    ):
        await it.let_in(encoder)
        flood = [await connect(it) for _ in range(300)]
        await send(encoder, first_second())
        await until(lambda: it.pictures() >= 30, "a second of pictures")
        for _, writer in flood:
            writer.transport.abort()
        await until_served(it)
        assert Closed(connection_id="c", cause=CloseCause.PEER_CLOSED) not in it.facts


async def be_refused(it: Serving, *, is_wrong_key: bool) -> None:
    async with it.encoder() as encoder:
        asking = asyncio.create_task(encoder.publish("guess"))
        it.server.refuse(ask_id=(await it.asked()).ask_id, detail="no", is_wrong_key=is_wrong_key)
        with pytest.raises(RefusedError):
            await asking


async def test_keys_cannot_be_guessed_for_long() -> None:
    async with serving() as it:
        for _ in range(MAX_REFUSALS + 1):
            await be_refused(it, is_wrong_key=True)
        reader, writer = await connect(it)
        await until_closed(reader)
        writer.close()


async def test_whoever_is_refused_with_a_good_key_may_try_again_and_again() -> None:
    async with serving() as it:
        for _ in range(MAX_REFUSALS + 1):
            await be_refused(it, is_wrong_key=False)
        await serves(it)


async def test_who_reads_nothing_of_what_it_asks_for_is_ended() -> None:
    async with serving() as it:
        with socket.create_connection(("127.0.0.1", it.port())) as deaf:
            deaf.settimeout(0)
            with pytest.raises(ConnectionError):
                await ask_for_answers(deaf)
        await serves(it)


async def ask_for_answers(deaf: socket.socket) -> None:
    """Send pings for as long as the server takes them."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(deaf, b"\x03" + bytes(1536) + bytes(1536))
    ping = b"\x02\0\0\0\0\0\x06\x04\0\0\0\0" + b"\0\x06\0\0\0\1"
    async with asyncio.timeout(20):
        while True:
            await loop.sock_sendall(deaf, ping * 1_000)


async def test_a_sender_of_as_much_as_it_can_does_not_starve_the_others() -> None:
    async with serving(IngestSettings(max_buffer_seconds=1_000)) as it, it.encoder() as loud:
        await it.let_in(loud, "loud")
        await send(loud, first_second())
        await until(lambda: it.pictures() >= 30, "the loud one's feed")
        flooding = asyncio.create_task(flood_with_small_messages(loud))
        for number in range(3):
            await serves(it, f"quiet{number}")
        assert not flooding.done()
        flooding.cancel()


async def flood_with_small_messages(encoder: RtmpPublisher) -> None:
    """Audio messages that hold an empty frame, three bytes each."""
    await encoder.raw(b"\x44\0\0\0\0\0\x02\x08\x01\0\0\0" + b"\xaf\1")
    while True:
        await encoder.raw(b"\xc4\xaf\1" * 5_000)


async def test_a_stop_tells_the_encoders_and_no_fact() -> None:
    async with serving() as it, it.encoder() as encoder:
        await it.let_in(encoder)
        stopping = asyncio.create_task(it.server.stop())
        information = await encoder.status()
        assert (information["level"], information["description"]) == ("error", "the server stops")
        await encoder.closed()
        await stopping
        assert it.endings() == []


async def test_a_certificate_that_is_not_there_is_an_error_of_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = IngestServer(
            IngestSettings(certificate_path=str(tmp_path / "c"), private_key_path=str(tmp_path / "k")),
            rtmp=None,
            rtmps=listener,
            hear=lambda _fact: None,
            clock=asyncio.get_running_loop().time,
            new_id=lambda: "id",
        )
        with pytest.raises(OSError, match="No such file"):
            await server.start()
