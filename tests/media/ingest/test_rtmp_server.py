"""Hostile clients: too many, too slow, flooding, or guessing keys. Other encoders are served meanwhile."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from stagebook.log_rate_limit import MAX_LINES
from stagebook.media.ingest import rtmp_server
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.load_meter import LoadMeter
from stagebook.media.ingest.processes.connection_limits import MAX_REFUSALS
from stagebook.media.ingest.rtmp_server import RtmpServer
from stagebook.media.ingest.tls_certificate import CertificatePair
from stagebook.media.port import CloseCause, Closed, MediaRefusedError, RefusalReason
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.media.ingest.running_rtmp_server import (
    RunningRtmpServer,
    first_second,
    running_rtmp_server,
    send,
    unchecked_tls,
    until,
)

SHORT_TIMEOUT = IngestSettings(connect_timeout_seconds=0.5)


async def connect(
    rtmp: RunningRtmpServer, scheme: str = "rtmp", *, local_host: str = "127.0.0.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", rtmp.port(scheme), local_addr=(local_host, 0))


async def until_disconnected(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(20):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass


async def serve_one_encoder(rtmp: RunningRtmpServer, connection_id: str = "c") -> None:
    """Check that a well-behaved encoder can publish."""
    async with rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder, connection_id)
        frames = rtmp.video_frame_count()
        await send(encoder, first_second())
        await until(lambda: rtmp.video_frame_count() >= frames + 30, "a second of video")
        await encoder.unpublish()
        await rtmp.wait_for_fact(Closed(connection_id=connection_id, cause=CloseCause.PEER_CLOSED))


@pytest.mark.parametrize("data", [b"", b"\x03", b"\x03" + bytes(1536)], ids=["nothing", "a byte", "a handshake"])
async def test_a_client_that_does_not_publish_in_time_is_disconnected(data: bytes) -> None:
    async with running_rtmp_server(SHORT_TIMEOUT) as rtmp:
        reader, writer = await connect(rtmp)
        writer.write(data)
        await until_disconnected(reader)
        writer.close()
        assert rtmp.facts == []


async def test_sending_single_bytes_does_not_extend_the_timeout() -> None:
    async with running_rtmp_server(SHORT_TIMEOUT) as rtmp:
        reader, writer = await connect(rtmp)
        began = asyncio.get_running_loop().time()
        closing = asyncio.create_task(until_disconnected(reader))
        writer.write(b"\x03")
        while not closing.done():
            writer.write(b"\0")
            await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() - began < 10
        writer.close()


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01", b"\x03" + bytes(1536)], ids=["nothing", "a part", "no TLS"])
async def test_an_incomplete_tls_handshake_times_out(data: bytes) -> None:
    async with running_rtmp_server(SHORT_TIMEOUT, with_tls=True) as rtmp:
        reader, writer = await connect(rtmp, "rtmps")
        writer.write(data)
        await until_disconnected(reader)
        writer.close()
        assert rtmp.facts == []
        await serve_one_encoder(rtmp)


async def test_the_publish_timeout_includes_the_tls_handshake() -> None:
    async with running_rtmp_server(SHORT_TIMEOUT, with_tls=True) as rtmp:
        began = asyncio.get_running_loop().time()
        reader, writer = await asyncio.open_connection("127.0.0.1", rtmp.port("rtmps"), ssl=unchecked_tls())
        await until_disconnected(reader)
        assert asyncio.get_running_loop().time() - began < 5
        writer.close()


async def test_the_connections_of_one_address_are_limited() -> None:
    async with running_rtmp_server(IngestSettings(max_connections_per_address=3)) as rtmp:
        held = [await connect(rtmp) for _ in range(3)]
        await asyncio.sleep(0.1)
        reader, writer = await connect(rtmp)
        await until_disconnected(reader)
        writer.close()
        for _, writer in held:
            writer.close()
        await until_an_encoder_is_served(rtmp)


async def test_silent_connections_of_several_addresses_do_not_keep_encoders_out() -> None:
    async with running_rtmp_server(IngestSettings(max_connections=5)) as rtmp, rtmp.encoder() as first:
        await rtmp.admit_encoder(first, "first")
        held = [await connect(rtmp, local_host=f"127.0.0.{2 + number // 2}") for number in range(4)]
        await serve_one_encoder(rtmp, "second")
        # The oldest of the silent ones has made room.
        await until_disconnected(held[0][0])
        await until(lambda: len(rtmp.server._tasks) == 4, "the end of the second encoder")
        await send(first, first_second())
        await until(lambda: rtmp.video_frame_count() >= 60, "a second of video of the first encoder")
        for _, writer in held:
            writer.close()


async def test_a_connection_is_not_dropped_for_one_of_another_address_unless_its_own_has_more() -> None:
    async with running_rtmp_server(IngestSettings(max_connections=2)) as rtmp, rtmp.encoder() as admitted:
        await rtmp.admit_encoder(admitted)
        _, held = await connect(rtmp, local_host="127.0.0.2")
        reader, writer = await connect(rtmp, local_host="127.0.0.3")
        await until_disconnected(reader)
        assert len(rtmp.server._tasks) == 2
        for each in (held, writer):
            each.close()


async def test_an_admitted_connection_cannot_be_dropped() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        (ask_id,) = rtmp.server._tasks
        rtmp.server.drop(ask_id=ask_id)
        await send(encoder, first_second())
        await until(lambda: rtmp.video_frame_count() >= 30, "a second of video")


async def until_an_encoder_is_served(rtmp: RunningRtmpServer) -> None:
    """Wait until the server has noticed that other clients are gone."""
    for attempt in range(100):
        try:
            await serve_one_encoder(rtmp, f"c{attempt}")
        except (ConnectionError, EOFError):
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the server accepts no more encoders")


async def test_a_flood_of_connections_does_not_affect_a_running_stream() -> None:
    async with (
        running_rtmp_server(IngestSettings(max_connections=20, max_connections_per_address=20)) as rtmp,
        rtmp.encoder() as encoder,
    ):
        await rtmp.admit_encoder(encoder)
        flood = [await connect(rtmp) for _ in range(300)]
        await send(encoder, first_second())
        await until(lambda: rtmp.video_frame_count() >= 30, "a second of video")
        for _, writer in flood:
            writer.transport.abort()
        await until_an_encoder_is_served(rtmp)
        assert Closed(connection_id="c", cause=CloseCause.PEER_CLOSED) not in rtmp.facts


async def publish_and_be_refused(rtmp: RunningRtmpServer, *, is_wrong_key: bool) -> None:
    async with rtmp.encoder() as encoder:
        asking = asyncio.create_task(encoder.publish("guess"))
        rtmp.refuse(await rtmp.next_ask(), is_wrong_key=is_wrong_key)
        with pytest.raises(RefusedError):
            await asking


async def test_garbage_connections_cause_a_limited_number_of_log_lines() -> None:
    async with running_rtmp_server(IngestSettings(max_connections_per_address=1_000)) as rtmp:
        with capture_logs() as lines:
            for _ in range(5 * MAX_LINES):
                reader, writer = await connect(rtmp)
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                await until_disconnected(reader)
                writer.close()
            await until(lambda: len(lines) >= MAX_LINES, "the lines of the first connections")
        assert [line["event"] for line in lines] == MAX_LINES * ["encoder connection ended"]


async def test_knocks_with_an_unknown_key_cause_a_limited_number_of_log_lines() -> None:
    async with running_rtmp_server() as rtmp:
        with capture_logs() as lines:
            for _ in range(2 * MAX_LINES):
                await publish_and_be_refused(rtmp, is_wrong_key=True)
            await until(lambda: len(lines) >= MAX_LINES, "the lines of the first connections")
        assert len(lines) == MAX_LINES


async def test_connections_above_the_limits_cause_a_limited_number_of_log_lines() -> None:
    async with running_rtmp_server(IngestSettings(max_connections=1)) as rtmp:
        _, held = await connect(rtmp)
        with capture_logs() as lines:
            for _ in range(5 * MAX_LINES):
                reader, writer = await connect(rtmp)
                await until_disconnected(reader)
                writer.close()
        assert [line["event"] for line in lines] == MAX_LINES * ["connection refused"]
        held.close()


async def test_encoders_above_the_streams_limit_are_refused_before_their_key_is_asked_for() -> None:
    async with running_rtmp_server(IngestSettings(max_streams=2)) as rtmp, AsyncExitStack() as encoders:
        published = [await encoders.enter_async_context(rtmp.encoder()) for _ in range(2)]
        for number, encoder in enumerate(published):
            await rtmp.admit_encoder(encoder, f"c{number}")
            await send(encoder, first_second())
        asked = len(rtmp.facts)
        for _ in range(3):
            async with rtmp.encoder() as encoder:
                with pytest.raises(RefusedError, match="SERVER_EXCEPTION: the server is at its limit of 2 encoder str"):
                    await encoder.publish("a stream key")
                await encoder.closed()
        assert len(rtmp.facts) == asked
        await until(lambda: len(rtmp.shed) == 3, "the ends of the refused connections")
        await published[0].unpublish()
        await rtmp.wait_for_fact(Closed(connection_id="c0", cause=CloseCause.PEER_CLOSED))
        await serve_one_encoder(rtmp, "another")


async def test_an_overloaded_process_refuses_new_encoders_and_goes_on_with_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rtmp_server, "INTERVAL_SECONDS", 0.001)
    async with running_rtmp_server() as rtmp, rtmp.encoder() as published:
        await rtmp.admit_encoder(published)
        rtmp.cpu_clock = asyncio.get_running_loop().time
        await until(lambda: rtmp.overloads == [True], "overload")
        async with rtmp.encoder() as encoder:
            with pytest.raises(RefusedError, match="SERVER_EXCEPTION: the server has no time left"):
                await encoder.publish("a stream key")
            await encoder.closed()
        await until(lambda: len(rtmp.shed) == 1, "the end of the refused connection")
        await send(published, first_second())
        await until(lambda: rtmp.video_frame_count() >= 30, "a second of video")
        rtmp.cpu_clock = lambda: 0.0
        await until(lambda: rtmp.overloads == [True, False], "the end of the overload")
        await serve_one_encoder(rtmp, "another")


async def test_encoders_that_wait_together_do_not_exceed_the_streams_limit() -> None:
    async with (
        running_rtmp_server(IngestSettings(max_streams=1)) as rtmp,
        rtmp.encoder() as first,
        rtmp.encoder() as second,
    ):
        asking = [asyncio.create_task(encoder.publish("a stream key")) for encoder in (first, second)]
        asks = [await rtmp.next_ask() for _ in asking]
        rtmp.admit(asks[0], "c0")
        with pytest.raises(MediaRefusedError, match="limit of 1 encoder streams") as refused:
            rtmp.admit(asks[1], "c1")
        assert refused.value.reason is RefusalReason.BUSY
        rtmp.server.refuse(ask_id=asks[1].ask_id, detail="busy")
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["NoneType", "RefusedError"]


async def test_too_many_wrong_keys_block_the_address() -> None:
    async with running_rtmp_server() as rtmp:
        for _ in range(MAX_REFUSALS + 1):
            await publish_and_be_refused(rtmp, is_wrong_key=True)
        reader, writer = await connect(rtmp)
        await until_disconnected(reader)
        writer.close()


async def test_refusals_of_valid_keys_do_not_block_the_address() -> None:
    async with running_rtmp_server() as rtmp:
        for _ in range(MAX_REFUSALS + 1):
            await publish_and_be_refused(rtmp, is_wrong_key=False)
        await serve_one_encoder(rtmp)


async def test_a_client_that_does_not_read_the_answers_is_disconnected() -> None:
    async with running_rtmp_server() as rtmp:
        with socket.create_connection(("127.0.0.1", rtmp.port())) as client:
            client.settimeout(0)
            with pytest.raises(ConnectionError):
                await flood_with_pings(client)
        await serve_one_encoder(rtmp)


async def flood_with_pings(client: socket.socket) -> None:
    """Send ping requests until the server disconnects."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, b"\x03" + bytes(1536) + bytes(1536))
    ping = b"\x02\0\0\0\0\0\x06\x04\0\0\0\0" + b"\0\x06\0\0\0\1"
    async with asyncio.timeout(20):
        while True:
            await loop.sock_sendall(client, ping * 1_000)


async def test_a_flooding_encoder_does_not_starve_the_others() -> None:
    async with running_rtmp_server(IngestSettings(max_buffer_seconds=1_000)) as rtmp, rtmp.encoder() as flooder:
        await rtmp.admit_encoder(flooder, "flooder")
        await send(flooder, first_second())
        await until(lambda: rtmp.video_frame_count() >= 30, "the feed of the flooding encoder")
        flooding = asyncio.create_task(flood_with_small_messages(flooder))
        for number in range(3):
            await serve_one_encoder(rtmp, f"other{number}")
        assert not flooding.done()
        flooding.cancel()


async def flood_with_small_messages(encoder: RtmpPublisher) -> None:
    """Send audio messages with an empty frame, three bytes each, without pauses."""
    await encoder.raw(b"\x44\0\0\0\0\0\x02\x08\x01\0\0\0" + b"\xaf\1")
    while True:
        await encoder.raw(b"\xc4\xaf\1" * 5_000)


async def test_stop_notifies_the_encoders_and_reports_no_fact() -> None:
    async with running_rtmp_server() as rtmp, rtmp.encoder() as encoder:
        await rtmp.admit_encoder(encoder)
        stopping = asyncio.create_task(rtmp.server.stop())
        information = await encoder.status()
        assert (information["level"], information["description"]) == ("error", "the server stops")
        await encoder.closed()
        await stopping
        assert rtmp.end_facts() == []


def _ignore_end(ask_id: str, *, was_shed: bool) -> None:
    """No connection is served."""


async def test_an_unusable_certificate_is_an_error_at_the_start() -> None:
    clock = asyncio.get_running_loop().time
    server = RtmpServer(
        IngestSettings(),
        certificate=CertificatePair(chain_pem=b"not PEM", private_key_pem=b"not PEM"),
        on_fact=lambda _fact: None,
        on_gone=_ignore_end,
        on_overload=lambda _is_overloaded: None,
        load=LoadMeter(clock=clock, cpu_clock=clock),
        clock=clock,
    )
    with pytest.raises(OSError, match="cannot be used"):
        await server.start()
