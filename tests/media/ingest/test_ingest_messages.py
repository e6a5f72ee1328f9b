"""The control messages of ingest on a real socket pair."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stagebook.media.ingest import ingest_messages
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import IngestAsked, IngestFailed, IngestFault, RefusalReason
from stagebook.media.worker.framing import BrokenStreamError

SECRET = "never in a log"
COMMANDS: list[ingest_messages.AnyCommand] = [
    ingest_messages.Run(settings=IngestSettings(), rtmp_descriptor=3, rtmps_descriptor=None),
    ingest_messages.Admit(request_id=1, connection_id="c", ask_id="a", ticket=FeedTicket(path="/feed", token=SECRET)),
    ingest_messages.Refuse(ask_id="a", detail="no", is_wrong_key=True),
    ingest_messages.Close(connection_id="c"),
    ingest_messages.Stop(),
]
REPORTS: list[ingest_messages.AnyReport] = [
    ingest_messages.Running(),
    ingest_messages.StartFailed(detail="no"),
    ingest_messages.Admitted(request_id=1),
    ingest_messages.RequestRefused(request_id=1, reason=RefusalReason.UNKNOWN_CONNECTION, detail="gone"),
    ingest_messages.FactReported(
        fact=IngestAsked(ask_id="a", stream_key=SECRET, is_secure=True, remote_address="192.0.2.1")
    ),
    ingest_messages.FactReported(fact=IngestFailed(connection_id="c", fault=IngestFault.INPUT, detail="no")),
    ingest_messages.Heartbeat(),
    ingest_messages.Logged(logger="x", level=20, message="y", values={}),
]


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[asyncio.StreamWriter, asyncio.StreamReader]]:
    """A writer, and the reader at the other end."""
    near, far = socket.socketpair()
    _, writer = await asyncio.open_unix_connection(sock=near)
    reader, other = await asyncio.open_unix_connection(sock=far)
    try:
        yield writer, reader
    finally:
        for end in (writer, other):
            end.close()
            await end.wait_closed()


async def test_commands_arrive_as_they_were_sent() -> None:
    async with pair() as (writer, reader):
        for command in COMMANDS:
            ingest_messages.send(writer, command)
        assert [await ingest_messages.receive_command(reader) for _ in COMMANDS] == COMMANDS


async def test_reports_arrive_as_they_were_sent() -> None:
    async with pair() as (writer, reader):
        for report in REPORTS:
            ingest_messages.send(writer, report)
        assert [await ingest_messages.receive_report(reader) for _ in REPORTS] == REPORTS


async def test_a_command_is_no_report() -> None:
    async with pair() as (writer, reader):
        ingest_messages.send(writer, ingest_messages.Close(connection_id="c"))
        with pytest.raises(BrokenStreamError):
            await ingest_messages.receive_report(reader)


@pytest.mark.parametrize("message", [*COMMANDS, *REPORTS], ids=lambda message: type(message).__name__)
def test_no_message_shows_a_secret_in_a_log(message: object) -> None:
    assert SECRET not in repr(message)
