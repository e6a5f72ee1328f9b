"""The messages between the server and an uplink process, in addition to those of every worker (`worker_messages`).

server                                     uplink process
  | -- StartUplinks -----------------------> |
  | <- UplinksRunning ---------------------- |   or StartFailed
  | -- OpenUplinkFeedRequest --------------> |
  | <- UplinkFeedOpened -------------------- |   or RequestRefused
  | <- UplinkConnected --------------------- |   LiveKit has the publisher; then Connected of the feed
  | <- UplinkLost -------------------------- |   its feeds are closed
  | -- CloseUplinkFeedCommand, EndUplinkCommand -> |   no reply
"""

import asyncio
from typing import TypeAlias

import msgspec

from stagebook.media.media_bus import FeedTicket
from stagebook.media.worker.framing import MessageReader
from stagebook.media.worker.worker_messages import (
    MAX_CONTROL_BYTES,
    Command,
    CommonCommand,
    FactReported,
    Heartbeat,
    Logged,
    Reply,
    Report,
    Request,
    RequestRefused,
    StartFailed,
)


class UplinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one uplink process."""

    whip_url: str
    """LiveKit's endpoint of WHIP."""
    feed_directory: str = ""
    """A private directory with a short path for the socket of the media bus."""
    feed_ticket_seconds: float = 120.0
    """Lifetime of an unused feed ticket."""


class StartUplinks(Command, frozen=True, kw_only=True):
    """The first command."""

    settings: UplinkSettings


class OpenUplinkFeedRequest(Request, frozen=True, kw_only=True):
    """Allow an encoder's connection to feed a source, which `token` publishes."""

    source_id: str
    is_redundant: bool
    token: str
    """LiveKit's access token of the source's publisher. That of the source's first feed is used."""

    def __repr__(self) -> str:
        return f"OpenUplinkFeedRequest(connection_id={self.connection_id!r}, source_id={self.source_id!r})"


class CloseUplinkFeedCommand(Command, frozen=True, kw_only=True):
    """MediaEngine.close of an encoder's connection."""

    connection_id: str


class EndUplinkCommand(Command, frozen=True, kw_only=True):
    """MediaEngine.end_source."""

    source_id: str


class UplinksRunning(Report, frozen=True, kw_only=True):
    """The process accepts feeds."""


class UplinkFeedOpened(Reply, frozen=True, kw_only=True):
    """The ticket for an OpenUplinkFeedRequest."""

    ticket: FeedTicket


class UplinkConnected(Report, frozen=True, kw_only=True):
    """LiveKit has connected the publisher of this source."""

    source_id: str


class UplinkLost(Report, frozen=True, kw_only=True):
    """The publisher of this source was not accepted, or its connection has ended. Its feeds are closed."""

    source_id: str
    detail: str


UplinkCommand: TypeAlias = (
    StartUplinks | OpenUplinkFeedRequest | CloseUplinkFeedCommand | EndUplinkCommand | CommonCommand
)
UplinkReport: TypeAlias = (
    UplinksRunning
    | StartFailed
    | UplinkFeedOpened
    | RequestRefused
    | UplinkConnected
    | UplinkLost
    | FactReported
    | Heartbeat
    | Logged
)

_commands: MessageReader[UplinkCommand] = MessageReader(
    msgspec.msgpack.Decoder(UplinkCommand), max_bytes=MAX_CONTROL_BYTES
)
_reports: MessageReader[UplinkReport] = MessageReader(
    msgspec.msgpack.Decoder(UplinkReport), max_bytes=MAX_CONTROL_BYTES
)


async def receive_command(reader: asyncio.StreamReader) -> UplinkCommand:
    """Read the next command. Raises BrokenStreamError."""
    return await _commands.next(reader)


async def receive_report(reader: asyncio.StreamReader) -> UplinkReport:
    """Read the next report. Raises BrokenStreamError."""
    return await _reports.next(reader)
