"""The control messages of ingest on a real socket pair."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stagebook.media.feed import FeedTicket
from stagebook.media.framing import BrokenStreamError
from stagebook.media.ingest import control
from stagebook.media.ingest.settings import IngestSettings
from stagebook.media.port import IngestAsked, IngestFailed, IngestFault, RefusalReason

SECRET = "never in a log"
COMMANDS: list[control.AnyCommand] = [
    control.Run(settings=IngestSettings(), rtmp_descriptor=3, rtmps_descriptor=None),
    control.Admit(request_id=1, connection_id="c", ask_id="a", ticket=FeedTicket(path="/feed", token=SECRET)),
    control.Refuse(ask_id="a", detail="no", is_wrong_key=True),
    control.Close(connection_id="c"),
    control.Stop(),
]
REPORTS: list[control.AnyReport] = [
    control.Running(),
    control.NotRunning(detail="no"),
    control.Admitted(request_id=1),
    control.Refused(request_id=1, reason=RefusalReason.UNKNOWN_CONNECTION, detail="gone"),
    control.Heard(fact=IngestAsked(ask_id="a", stream_key=SECRET, is_secure=True, remote_address="192.0.2.1")),
    control.Heard(fact=IngestFailed(connection_id="c", fault=IngestFault.INPUT, detail="no")),
    control.Alive(),
    control.Logged(logger="x", level=20, text="y", values={}),
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
            control.send(writer, command)
        assert [await control.receive_command(reader) for _ in COMMANDS] == COMMANDS


async def test_reports_arrive_as_they_were_sent() -> None:
    async with pair() as (writer, reader):
        for report in REPORTS:
            control.send(writer, report)
        assert [await control.receive_report(reader) for _ in REPORTS] == REPORTS


async def test_a_command_is_no_report() -> None:
    async with pair() as (writer, reader):
        control.send(writer, control.Close(connection_id="c"))
        with pytest.raises(BrokenStreamError):
            await control.receive_report(reader)


@pytest.mark.parametrize("message", [*COMMANDS, *REPORTS], ids=lambda message: type(message).__name__)
def test_no_message_shows_a_secret_in_a_log(message: object) -> None:
    assert SECRET not in repr(message)
