"""The messages between the server and an ingest process, in addition to those of every worker (`worker_messages`).

server                                    ingest process
  | -- StartIngest -----------------------> |
  | <- IngestRunning ---------------------- |   or StartFailed
  | -- a connection ----------------------> |   over the handover socket (`connection_handover`)
  | <- FactReported (IngestAsked) --------- |   an encoder named a stream key
  | -- AdmitRequest ----------------------> |   or RefuseCommand or RelayCommand, which have no reply
  | <- EncoderAdmitted -------------------- |   or RequestRefused
  | <- FactReported (Closed, IngestFailed)  |   the connection ended by itself
  | -- CloseEncoderCommand ---------------> |   no reply
  | -- RenewCertificate ------------------> |   no reply
  | <- EncoderGone ------------------------ |   for each connection, when nothing of it is left
  | <- LoadChanged ------------------------ |   at any time
"""

import asyncio
from typing import TypeAlias

import msgspec

from stagebook.media.ingest.encoder_relay import RelayTarget
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.tls_certificate import CertificatePair
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


class StartIngest(Command, frozen=True, kw_only=True):
    """The first command. The inherited descriptor is that of the handover socket.

    `certificate` is None without RTMPS.
    """

    settings: IngestSettings
    certificate: CertificatePair | None
    handover_descriptor: int


class AdmitRequest(Request, frozen=True, kw_only=True):
    """MediaEngine.ingest: let the encoder publish to the feed of `ticket`, as `connection_id`."""

    ask_id: str
    ticket: FeedTicket


class RefuseCommand(Command, frozen=True, kw_only=True):
    """MediaEngine.refuse_ingest."""

    ask_id: str
    detail: str


class DropCommand(Command, frozen=True, kw_only=True):
    """Close a connection at once, unless it was admitted. Its encoder receives no message."""

    ask_id: str


class RelayCommand(Command, frozen=True, kw_only=True):
    """Let another node serve the encoder that asked."""

    ask_id: str
    target: RelayTarget


class CloseEncoderCommand(Command, frozen=True, kw_only=True):
    """MediaEngine.close."""

    connection_id: str
    detail: str = ""


class RenewCertificate(Command, frozen=True, kw_only=True):
    """Use another certificate for new connections of RTMPS."""

    certificate: CertificatePair


class IngestRunning(Report, frozen=True, kw_only=True):
    """The process serves connections."""


class EncoderAdmitted(Reply, frozen=True, kw_only=True):
    """The encoder of an AdmitRequest may publish."""


class EncoderGone(Report, frozen=True, kw_only=True):
    """A connection has ended, whether it was admitted or not. `was_shed` means: refused because the process was full or
    overloaded."""

    ask_id: str
    was_shed: bool


class LoadChanged(Report, frozen=True, kw_only=True):
    """The process has become overloaded (`load_meter`), or is no longer."""

    is_overloaded: bool


IngestCommand: TypeAlias = (
    StartIngest
    | AdmitRequest
    | RefuseCommand
    | DropCommand
    | RelayCommand
    | CloseEncoderCommand
    | RenewCertificate
    | CommonCommand
)
IngestReport: TypeAlias = (
    IngestRunning
    | StartFailed
    | EncoderAdmitted
    | RequestRefused
    | EncoderGone
    | LoadChanged
    | FactReported
    | Heartbeat
    | Logged
)

_commands: MessageReader[IngestCommand] = MessageReader(
    msgspec.msgpack.Decoder(IngestCommand), max_bytes=MAX_CONTROL_BYTES
)
_reports: MessageReader[IngestReport] = MessageReader(
    msgspec.msgpack.Decoder(IngestReport), max_bytes=MAX_CONTROL_BYTES
)


async def receive_command(reader: asyncio.StreamReader) -> IngestCommand:
    """Read the next command. Raises BrokenStreamError."""
    return await _commands.next(reader)


async def receive_report(reader: asyncio.StreamReader) -> IngestReport:
    """Read the next report. Raises BrokenStreamError."""
    return await _reports.next(reader)
