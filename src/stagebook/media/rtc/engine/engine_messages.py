"""The typed messages between the server and an engine process."""

import asyncio
from typing import TypeAlias

import msgspec

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import Answer, PatchAnswer
from stagebook.media.rtc.engine.engine_settings import EngineSettings
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
    "Answered",
    "AnyCommand",
    "AnyReply",
    "AnyReport",
    "AnyRequest",
    "Close",
    "Command",
    "EndSource",
    "FactReported",
    "Feed",
    "FeedOpened",
    "Heartbeat",
    "Logged",
    "Patch",
    "Patched",
    "Publish",
    "Reply",
    "Report",
    "Request",
    "RequestRefused",
    "Run",
    "Running",
    "StartFailed",
    "Stop",
    "Subscribe",
    "receive_command",
    "receive_report",
    "send",
]


class Run(Command, frozen=True, kw_only=True):
    """The first command: start with these settings. Reported by Running or StartFailed."""

    settings: EngineSettings


class Publish(Request, frozen=True, kw_only=True):
    """As MediaEngine.publish. Reported by Answered or RequestRefused, as the next two."""

    source_id: str
    offer: str


class Subscribe(Request, frozen=True, kw_only=True):
    """As MediaEngine.subscribe."""

    source_id: str
    offer: str


class Patch(Request, frozen=True, kw_only=True):
    """As MediaEngine.patch. Reported by Patched or RequestRefused."""

    fragment: str
    ice_session: str | None


class Feed(Request, frozen=True, kw_only=True):
    """Let a connection feed a source. Reported by FeedOpened or RequestRefused."""

    source_id: str
    is_redundant: bool


class Close(Command, frozen=True, kw_only=True):
    """As MediaEngine.close. Not reported."""

    connection_id: str


class EndSource(Command, frozen=True, kw_only=True):
    """As MediaEngine.end_source. Not reported."""

    source_id: str


class Running(Report, frozen=True, kw_only=True):
    """The sockets are bound."""

    udp_port: int


class Answered(Reply, frozen=True, kw_only=True):
    """An offer was taken."""

    answer: Answer


class Patched(Reply, frozen=True, kw_only=True):
    """A fragment was taken."""

    answer: PatchAnswer


class FeedOpened(Reply, frozen=True, kw_only=True):
    """The source's media may come."""

    ticket: FeedTicket


AnyRequest: TypeAlias = Publish | Subscribe | Patch | Feed
AnyReply: TypeAlias = Answered | Patched | FeedOpened | RequestRefused

AnyCommand: TypeAlias = Run | AnyRequest | Close | EndSource | Stop
AnyReport: TypeAlias = Running | StartFailed | AnyReply | FactReported | Heartbeat | Logged

_commands: MessageReader[AnyCommand] = MessageReader(msgspec.msgpack.Decoder(AnyCommand), max_bytes=MAX_CONTROL_BYTES)
_reports: MessageReader[AnyReport] = MessageReader(msgspec.msgpack.Decoder(AnyReport), max_bytes=MAX_CONTROL_BYTES)


async def receive_command(reader: asyncio.StreamReader) -> AnyCommand:
    """The next command. Raises BrokenStreamError."""
    return await _commands.next(reader)


async def receive_report(reader: asyncio.StreamReader) -> AnyReport:
    """The next report. Raises BrokenStreamError."""
    return await _reports.next(reader)
