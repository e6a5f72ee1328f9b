"""The messages between the server and the ingest process, in addition to those of every worker (`worker_messages`).

server                                    ingest process
  | -- StartIngest -----------------------> |
  | <- IngestRunning ---------------------- |   or StartFailed
  | <- FactReported (IngestAsked) --------- |   an encoder named a stream key
  | -- AdmitRequest ----------------------> |   or RefuseCommand, which has no reply
  | <- EncoderAdmitted -------------------- |   or RequestRefused
  | <- FactReported (Closed, IngestFailed)  |   the connection ended by itself
  | -- CloseEncoderCommand ---------------> |   no reply
  | -- RenewCertificate ------------------> |   no reply
"""

import asyncio
from typing import TypeAlias

import msgspec

from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.tls_certificate import CertificatePair
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
)


class StartIngest(Command, frozen=True, kw_only=True):
    """The first command. The descriptors are inherited listening sockets; None where the protocol is switched off.

    `certificate` is None without RTMPS.
    """

    settings: IngestSettings
    certificate: CertificatePair | None
    rtmp_descriptor: int | None
    rtmps_descriptor: int | None


class AdmitRequest(Request, frozen=True, kw_only=True):
    """MediaEngine.ingest: let the encoder publish to the feed of `ticket`, as `connection_id`."""

    ask_id: str
    ticket: FeedTicket


class RefuseCommand(Command, frozen=True, kw_only=True):
    """MediaEngine.refuse_ingest."""

    ask_id: str
    detail: str
    is_wrong_key: bool


class CloseEncoderCommand(Command, frozen=True, kw_only=True):
    """MediaEngine.close."""

    connection_id: str
    detail: str = ""


class RenewCertificate(Command, frozen=True, kw_only=True):
    """Use another certificate for new connections of RTMPS."""

    certificate: CertificatePair


class IngestRunning(Report, frozen=True, kw_only=True):
    """The process accepts connections."""


class EncoderAdmitted(Reply, frozen=True, kw_only=True):
    """The encoder of an AdmitRequest may publish."""


IngestCommand: TypeAlias = StartIngest | AdmitRequest | RefuseCommand | CloseEncoderCommand | RenewCertificate | Stop
IngestReport: TypeAlias = (
    IngestRunning | StartFailed | EncoderAdmitted | RequestRefused | FactReported | Heartbeat | Logged
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
