"""The messages between the server and the ingest process, on a real socket pair."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.processes.ingest_messages import (
    AdmitRequest,
    CloseEncoderCommand,
    DropCommand,
    EncoderAdmitted,
    EncoderGone,
    IngestCommand,
    IngestReport,
    IngestRunning,
    LoadChanged,
    RefuseCommand,
    RenewCertificate,
    StartIngest,
    receive_command,
    receive_report,
)
from stagebook.media.ingest.tls_certificate import CertificatePair
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import IngestAsked, IngestFailed, IngestFault, RefusalReason
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.worker_messages import (
    FactReported,
    Heartbeat,
    Logged,
    RequestRefused,
    StartFailed,
    Stop,
    send,
)

SECRET = "never in a log"
COMMANDS: list[IngestCommand] = [
    StartIngest(
        settings=IngestSettings(),
        certificate=CertificatePair(chain_pem=b"chain", private_key_pem=SECRET.encode()),
        handover_descriptor=3,
    ),
    RenewCertificate(certificate=CertificatePair(chain_pem=b"chain", private_key_pem=SECRET.encode())),
    AdmitRequest(request_id=1, connection_id="c", ask_id="a", ticket=FeedTicket(path="/feed", token=SECRET)),
    RefuseCommand(ask_id="a", detail="no"),
    DropCommand(ask_id="a"),
    CloseEncoderCommand(connection_id="c"),
    Stop(),
]
REPORTS: list[IngestReport] = [
    IngestRunning(),
    StartFailed(detail="no"),
    EncoderAdmitted(request_id=1),
    RequestRefused(request_id=1, reason=RefusalReason.UNKNOWN_CONNECTION, detail="gone"),
    FactReported(fact=IngestAsked(ask_id="a", stream_key=SECRET, is_secure=True, remote_address="192.0.2.1")),
    FactReported(fact=IngestFailed(connection_id="c", fault=IngestFault.INPUT, detail="no")),
    EncoderGone(ask_id="a", was_shed=True),
    LoadChanged(is_overloaded=True),
    Heartbeat(),
    Logged(logger="x", level=20, message="y", values={}),
]


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[asyncio.StreamWriter, asyncio.StreamReader]]:
    """Return a writer and the reader at the other end."""
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
            send(writer, command)
        assert [await receive_command(reader) for _ in COMMANDS] == COMMANDS


async def test_reports_arrive_as_they_were_sent() -> None:
    async with pair() as (writer, reader):
        for report in REPORTS:
            send(writer, report)
        assert [await receive_report(reader) for _ in REPORTS] == REPORTS


async def test_a_command_is_not_accepted_as_a_report() -> None:
    async with pair() as (writer, reader):
        send(writer, CloseEncoderCommand(connection_id="c"))
        with pytest.raises(BrokenStreamError):
            await receive_report(reader)


@pytest.mark.parametrize("message", [*COMMANDS, *REPORTS], ids=lambda message: type(message).__name__)
def test_the_repr_of_a_message_has_no_secret(message: object) -> None:
    assert SECRET not in repr(message)
