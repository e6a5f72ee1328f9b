"""An RTMP output and servers that accept, refuse, drop, hang, and show a certificate."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec import structs

from stagebook.media.codecs.avc import parse_decoder_configuration
from stagebook.media.composition.composition_port import (
    ChannelOutput,
    OutputEnded,
    OutputFact,
    OutputFailed,
    OutputFault,
    OutputReconnecting,
    OutputStarted,
)
from stagebook.media.composition.outputs.push_connection import PushTimeouts
from stagebook.media.composition.outputs.rtmp_output import RtmpOutput
from stagebook.media.rtmp import command_messages
from stagebook.media.rtmp.chunk_writer import write_message
from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.push.push_session import STREAM_EXISTS_CODE
from stagebook.media.rtmp.rtmp_connection import RtmpConnection
from stagebook.media.rtmp.rtmp_events import AudioMessage, PublishReceived, RtmpEvent, Unpublished, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpLimits
from tests.media.composition.encoded_media import CANVAS, packets, stream_format
from tests.media.ingest.running_rtmp_server import write_certificate

TIMEOUTS = PushTimeouts(first_delay_seconds=0.01, max_delay_seconds=0.02, give_up_seconds=30, stable_seconds=0)
IDS = {"composition_id": "composition", "destination_id": "destination"}
STARTED, RECONNECTING, ENDED = OutputStarted(**IDS), OutputReconnecting(**IDS), OutputEnded(**IDS)


class Receiver:
    """An RTMP server that accepts every stream unless `refusal` is set."""

    def __init__(self) -> None:
        self.events: list[RtmpEvent] = []
        self.refusal: bytes | None = None
        self.reads = asyncio.Event()
        self.reads.set()
        self.accepted = 0
        self.changed = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.writers.append(writer)
        connection = RtmpConnection(RtmpLimits())
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                for event in connection.receive(data):
                    self.events.append(event)
                    if isinstance(event, PublishReceived):
                        self.answer(connection, writer)
                writer.write(connection.data_to_send())
                self.changed.set()
                await self.reads.wait()
        writer.close()

    def answer(self, connection: RtmpConnection, writer: asyncio.StreamWriter) -> None:
        if self.refusal is None:
            connection.accept_publish()
            self.accepted += 1
        else:
            writer.write(connection.data_to_send() + self.refusal)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true after a received event."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    def drop(self) -> None:
        """Close all connections without a word."""
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


class Reports:
    """The facts that an output reports."""

    def __init__(self) -> None:
        self.facts: asyncio.Queue[OutputFact] = asyncio.Queue()

    async def next(self) -> OutputFact:
        return await self.facts.get()


@pytest.fixture(name="receiver")
async def receiver_fixture() -> Receiver:
    return Receiver()


@pytest.fixture(name="port")
async def port_fixture(receiver: Receiver) -> AsyncIterator[int]:
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    receiver.reads.set()
    receiver.drop()
    server.close()


def make_output(
    url: str, reports: Reports, *, timeouts: PushTimeouts = TIMEOUTS, tls: ssl.SSLContext | None = None
) -> RtmpOutput:
    output = RtmpOutput(
        ChannelOutput(destination_id="destination", canvas=CANVAS, url=url),
        composition_id="composition",
        stream_format=stream_format(),
        report=reports.facts.put_nowait,
        tls=tls or ssl.create_default_context(),
        timeouts=timeouts,
    )
    output.start()
    return output


async def test_what_is_composed_arrives_and_the_end_is_told(receiver: Receiver, port: int) -> None:
    reports = Reports()
    output = make_output(f"rtmp://127.0.0.1:{port}/app/key", reports)
    assert await reports.next() == STARTED
    sent = packets(70)
    for packet in sent:
        output.put(packet)
    await output.end()
    assert await reports.next() == ENDED
    await receiver.until(lambda: Unpublished() in receiver.events)
    pictures = [event for event in receiver.events if isinstance(event, VideoMessage)]
    assert parse_decoder_configuration(memoryview(bytes(pictures[0].payload))[5:]).length_size_bytes == 4
    assert len(pictures) == 71
    assert pictures[-1].timestamp_ms == 2300
    sounds = [event for event in receiver.events if isinstance(event, AudioMessage)]
    # The configuration, and all but the first frame, which prepares the decoder.
    assert len(sounds) == sum(not hasattr(packet, "is_keyframe") for packet in sent)


async def test_a_lost_server_is_tried_again(receiver: Receiver, port: int) -> None:
    reports = Reports()
    output = make_output(f"rtmp://127.0.0.1:{port}/app/key", reports)
    assert await reports.next() == STARTED
    receiver.drop()
    assert [await reports.next(), await reports.next()] == [RECONNECTING, STARTED]
    receiver.events.clear()
    # The new connection begins with a keyframe, at time 0.
    for packet in packets(130)[30:]:
        output.put(packet)
    await receiver.until(lambda: any(isinstance(event, VideoMessage) for event in receiver.events))
    first = next(event for event in receiver.events if isinstance(event, VideoMessage))
    assert (first.timestamp_ms, first.payload[0]) == (0, 0x17)
    await output.end()
    assert await reports.next() == ENDED


EXISTS = write_message(
    command_messages.on_status(1, "error", STREAM_EXISTS_CODE, "Stream already exists"),
    chunk_stream_id=3,
    chunk_bytes=4096,
)


async def test_an_existing_stream_is_tried_again(receiver: Receiver, port: int) -> None:
    receiver.refusal = EXISTS
    timeouts = PushTimeouts(first_delay_seconds=0.01, max_delay_seconds=0.02)
    output = make_output(f"rtmp://127.0.0.1:{port}/app/key", Reports(), timeouts=timeouts)
    await receiver.until(lambda: sum(isinstance(event, PublishReceived) for event in receiver.events) > 1)
    await output.end()


async def test_an_existing_stream_is_the_fault_in_the_end(receiver: Receiver, port: int) -> None:
    receiver.refusal = EXISTS
    reports = Reports()
    timeouts = PushTimeouts(first_delay_seconds=0.01, give_up_seconds=0.02)
    output = make_output(f"rtmp://127.0.0.1:{port}/app/key", reports, timeouts=timeouts)
    assert await reports.next() == OutputFailed(**IDS, fault=OutputFault.STREAM_EXISTS)
    await output.end()
    assert reports.facts.empty()


async def test_a_server_that_cannot_be_reached_fails_the_output() -> None:
    reports = Reports()
    timeouts = PushTimeouts(first_delay_seconds=0.01, give_up_seconds=0.02)
    make_output("rtmp://127.0.0.1:1/app/key", reports, timeouts=timeouts)
    assert await reports.next() == OutputFailed(**IDS, fault=OutputFault.INTERNAL)


async def test_a_server_that_hangs_is_lost_after_the_timeout(receiver: Receiver, port: int) -> None:
    reports = Reports()
    timeouts = PushTimeouts(first_delay_seconds=0.01, stall_seconds=0.1, stable_seconds=0)
    output = make_output(f"rtmp://127.0.0.1:{port}/app/key", reports, timeouts=timeouts)
    assert await reports.next() == STARTED
    receiver.reads.clear()
    made = [structs.replace(packet, body=packet.body.ljust(100_000, b"\xff")) for packet in packets(1)]
    sent = asyncio.create_task(reports.next())
    while not sent.done():
        for packet in made:
            output.put(packet)
        await asyncio.sleep(0)
    assert sent.result() == RECONNECTING
    receiver.reads.set()
    await output.end()


async def test_a_server_that_asks_and_does_not_read_is_lost_with_bounded_memory() -> None:
    """It sends a ping request again and again; each is answered with as many bytes."""
    held: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = RtmpConnection(RtmpLimits())
        is_publishing = False
        with contextlib.suppress(OSError):
            while not is_publishing:
                for event in connection.receive(await reader.read(65_536)):
                    if isinstance(event, PublishReceived):
                        connection.accept_publish()
                        is_publishing = True
                writer.write(connection.data_to_send())
            ping = Message(MessageType.USER_CONTROL, 0, 0, b"\0\6\0\0\0\0")
            pings = write_message(ping, chunk_stream_id=2, chunk_bytes=128) * 4_000
            while not writer.is_closing():
                writer.write(pings)
                await writer.drain()
                held.append(len(pings))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1_024)
    reports = Reports()
    timeouts = PushTimeouts(first_delay_seconds=0.01, stall_seconds=0.2, stable_seconds=0)
    output = make_output(f"rtmp://127.0.0.1:{server.sockets[0].getsockname()[1]}/app/key", reports, timeouts=timeouts)
    assert await reports.next() == STARTED
    assert await reports.next() == RECONNECTING
    # What the kernel and the buffers of both ends hold.
    assert sum(held) < 40_000_000
    server.close()
    await output.end()


async def test_a_name_that_no_resolver_takes_fails_the_output() -> None:
    reports = Reports()
    output = make_output(f"rtmp://{'a' * 70}.example/app/key", reports)
    assert await reports.next() == OutputFailed(**IDS, fault=OutputFault.INTERNAL)
    await output.end()
    assert reports.facts.empty()


async def test_an_output_that_ends_before_it_is_connected_has_ended() -> None:
    reports = Reports()
    output = make_output("rtmp://127.0.0.1:1/app/key", reports)
    await output.end()
    assert await reports.next() == ENDED


@pytest.mark.parametrize("trusts", [True, False])
async def test_the_certificate_of_an_rtmps_server_is_verified(receiver: Receiver, tmp_path: Path, trusts: bool) -> None:  # noqa: FBT001 - a parameter
    certificate, private_key = write_certificate(tmp_path)
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(certificate, private_key)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=server_tls)
    client_tls = ssl.create_default_context(cafile=str(certificate) if trusts else None)
    reports = Reports()
    timeouts = PushTimeouts(first_delay_seconds=0.01, give_up_seconds=0.02)
    port = server.sockets[0].getsockname()[1]
    output = make_output(f"rtmps://127.0.0.1:{port}/app/key", reports, timeouts=timeouts, tls=client_tls)
    first = await reports.next()
    assert first == (STARTED if trusts else OutputFailed(**IDS, fault=OutputFault.INTERNAL))
    await output.end()
    receiver.drop()
    server.close()
