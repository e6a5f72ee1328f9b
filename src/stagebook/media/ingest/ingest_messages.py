"""The typed messages between the server and the ingest process."""

import asyncio
from typing import TypeAlias

import msgspec

from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.media_bus import FeedTicket
from stagebook.media.worker.framing import MessageReader
from stagebook.media.worker.worker_messages import (
    MAX_CONTROL_BYTES,
    Command,
    FactReported,
    Heartbeat,
    Logged,
    Reply,
    Report,
    Request,
    RequestRefused,
    StartFailed,
    Stop,
    send,
)

__all__ = [
    "Admit",
    "Admitted",
    "AnyCommand",
    "AnyReport",
    "Close",
    "Command",
    "FactReported",
    "Heartbeat",
    "Logged",
    "Refuse",
    "Report",
    "Request",
    "RequestRefused",
    "Run",
    "Running",
    "StartFailed",
    "Stop",
    "receive_command",
    "receive_report",
    "send",
]


class Run(Command, frozen=True, kw_only=True):
    """The first command: serve on these listening sockets, which are inherited. Reported by Running or StartFailed."""

    settings: IngestSettings
    rtmp_descriptor: int | None
    rtmps_descriptor: int | None


class Admit(Request, frozen=True, kw_only=True):
    """As MediaEngine.ingest; the media goes to `ticket`. Reported by Admitted or RequestRefused."""

    ask_id: str
    ticket: FeedTicket


class Refuse(Command, frozen=True, kw_only=True):
    """As MediaEngine.refuse_ingest. Not reported."""

    ask_id: str
    detail: str
    is_wrong_key: bool


class Close(Command, frozen=True, kw_only=True):
    """As MediaEngine.close. Not reported."""

    connection_id: str
    detail: str = ""


class Running(Report, frozen=True, kw_only=True):
    """Encoders are served."""


class Admitted(Reply, frozen=True, kw_only=True):
    """The encoder may publish."""


AnyCommand: TypeAlias = Run | Admit | Refuse | Close | Stop
AnyReport: TypeAlias = Running | StartFailed | Admitted | RequestRefused | FactReported | Heartbeat | Logged

_commands: MessageReader[AnyCommand] = MessageReader(msgspec.msgpack.Decoder(AnyCommand), max_bytes=MAX_CONTROL_BYTES)
_reports: MessageReader[AnyReport] = MessageReader(msgspec.msgpack.Decoder(AnyReport), max_bytes=MAX_CONTROL_BYTES)


async def receive_command(reader: asyncio.StreamReader) -> AnyCommand:
    """The next command. Raises BrokenStreamError."""
    return await _commands.next(reader)


async def receive_report(reader: asyncio.StreamReader) -> AnyReport:
    """The next report. Raises BrokenStreamError."""
    return await _reports.next(reader)
