"""The engine's messages on a socket pair: they arrive unchanged, and malformed ones end the connection."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Answer,
    CloseCause,
    Closed,
    LayerChoice,
    PatchAnswer,
    RefusalReason,
    SourceMeasured,
    VideoLayers,
)
from stagebook.media.rtc.engine import engine_messages
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.rtc.sfu.statistics.engine_statistics import NO_STATISTICS
from stagebook.media.worker import worker_messages
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.worker_messages import MAX_CONTROL_BYTES
from tests.media.rtc import offers


@asynccontextmanager
async def socket_pair() -> AsyncIterator[tuple[asyncio.StreamWriter, asyncio.StreamReader]]:
    """The writer of one end and the reader of the other."""
    near, far = socket.socketpair()
    _, writer = await asyncio.open_unix_connection(sock=near)
    reader, unused_writer = await asyncio.open_unix_connection(sock=far)
    try:
        yield writer, reader
    finally:
        for end in (writer, unused_writer):
            end.close()
            await end.wait_closed()


DESCRIPTION = SourceDescription(
    plan=negotiate_publisher(
        parse_description(offers.CHROMIUM_SIMULCAST), video_codecs=(Codec.H264, Codec.VP8), current=None
    )
)
"""With everything that a plan can have."""

COMMANDS: list[engine_messages.EngineCommand] = [
    engine_messages.StartEngine(settings=EngineSettings(bind_addresses=("127.0.0.1", "::1"), udp_port=40_000)),
    engine_messages.PublishRequest(request_id=1, connection_id="c", source_id="s", offer="v=0"),
    engine_messages.SubscribeRequest(request_id=2, connection_id="c", source_id="s", offer="v=0"),
    engine_messages.PatchRequest(request_id=3, connection_id="c", fragment="a=x", ice_session=None),
    engine_messages.LayersRequest(request_id=5, connection_id="c"),
    engine_messages.SelectLayerRequest(request_id=6, connection_id="c", choice=LayerChoice()),
    engine_messages.OpenFeedRequest(request_id=4, connection_id="c", source_id="s", is_redundant=True),
    engine_messages.DescribeSourceRequest(request_id=7, connection_id="c", source_id="s", feed_id="f"),
    engine_messages.AcceptRelayRequest(request_id=8, connection_id="c", source_id="s", description=DESCRIPTION),
    engine_messages.StartRelayCommand(source_id="s", ticket=FeedTicket(path="/p", token="t"), feed_id="f"),
    engine_messages.CloseCommand(connection_id="c"),
    engine_messages.EndSourceCommand(source_id="s"),
    worker_messages.Stop(),
]

REPORTS: list[engine_messages.EngineReport] = [
    engine_messages.EngineRunning(udp_port=40_000),
    worker_messages.StartFailed(detail="no"),
    engine_messages.OfferAnswered(request_id=1, answer=Answer(sdp="v=0", ice_session="i")),
    engine_messages.FragmentAnswered(request_id=3, answer=PatchAnswer(fragment=None, ice_session="i")),
    engine_messages.LayersListed(request_id=5, layers=VideoLayers(section=1, layers=())),
    engine_messages.LayerSelected(request_id=6),
    engine_messages.FeedOpened(request_id=4, ticket=FeedTicket(path="/p", token="t")),
    engine_messages.SourceDescribed(request_id=7, description=DESCRIPTION),
    worker_messages.RequestRefused(request_id=2, reason=RefusalReason.BUSY, detail="no"),
    worker_messages.FactReported(fact=Closed(connection_id="c", cause=CloseCause.CONSENT_LOST)),
    worker_messages.FactReported(
        fact=SourceMeasured(source_id="s", connection_id="c", bitrate_bps=1, frames_per_second=29.97)
    ),
    engine_messages.StatisticsReported(statistics=NO_STATISTICS),
    worker_messages.Heartbeat(),
    worker_messages.Logged(logger="x", level=20, message="y"),
]


async def test_commands_arrive_unchanged() -> None:
    async with socket_pair() as (writer, reader):
        for command in COMMANDS:
            worker_messages.send(writer, command)
        assert [await engine_messages.receive_command(reader) for _ in COMMANDS] == COMMANDS


async def test_reports_arrive_unchanged() -> None:
    async with socket_pair() as (writer, reader):
        for report in REPORTS:
            worker_messages.send(writer, report)
        assert [await engine_messages.receive_report(reader) for _ in REPORTS] == REPORTS


@pytest.mark.parametrize("offer", ["x" * (MAX_CONTROL_BYTES + 1), "\ud800"])
async def test_a_message_that_cannot_be_encoded_is_refused_and_nothing_is_sent(offer: str) -> None:
    async with socket_pair() as (writer, reader):
        with pytest.raises(ValueError, match=r"the message has more than|surrogates"):
            worker_messages.send(
                writer, engine_messages.PublishRequest(request_id=1, connection_id="c", source_id="s", offer=offer)
            )
        worker_messages.send(writer, worker_messages.Stop())
        assert await engine_messages.receive_command(reader) == worker_messages.Stop()


@pytest.mark.parametrize(
    "data",
    [b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1\xc1", b"\0\0\0\2\x81\xa0", b"\0\0\0\5ab"],
    ids=["incomplete length", "too long", "not msgpack", "not a command", "incomplete body"],
)
async def test_malformed_messages_and_the_end_raise(data: bytes) -> None:
    async with socket_pair() as (writer, reader):
        writer.write(data)
        writer.write_eof()
        with pytest.raises(BrokenStreamError):
            await engine_messages.receive_command(reader)


async def test_a_command_is_not_accepted_as_a_report() -> None:
    async with socket_pair() as (writer, reader):
        worker_messages.send(writer, worker_messages.Stop())
        with pytest.raises(BrokenStreamError):
            await engine_messages.receive_report(reader)
