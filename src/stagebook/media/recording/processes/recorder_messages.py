"""The messages between the server and the recorder process, in addition to those of every worker (`worker_messages`).

server                                    recorder process
  | -- StartRecorder ---------------------> |
  | <- RecorderRunning -------------------- |   or StartFailed
  | -- RecordCommand ---------------------> |   once for each recording
  | -- AcceptTapRequest ------------------> |   once for each part, and again when a tap was lost
  | <- TapAccepted ------------------------ |   or RequestRefused
  | -- FailCommand -----------------------> |   the source cannot be tapped
  | -- EndPartCommand --------------------> |
  | -- EndRecordingCommand ---------------> |
  | -- SettleCommand ---------------------> |   the outcome that was reported is durable
  | <- TapLost ---------------------------- |   at any time during a part
  | <- RecordingReported ------------------ |   at any time
  | <- RecorderMeasured ------------------- |   every two seconds
"""

import asyncio
import re
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec

from stagebook.media.media_bus import FeedTicket
from stagebook.media.recording.processes.recorder_statistics import RecorderStatistics
from stagebook.media.recording.recording_port import RecordingFact, RecordingRequest
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.worker.framing import MessageReader
from stagebook.media.worker.worker_messages import (
    MAX_CONTROL_BYTES,
    Command,
    CommonCommand,
    Heartbeat,
    Logged,
    Reply,
    Report,
    Request,
    RequestRefused,
    StartFailed,
)
from stagebook.storage.storage_settings import Storage

SPOOL_NAME: Final = "_spool"
"""The folder of the spool in that of recordings. No bucket can have this name (shape BucketName: `[a-z0-9-.]+`)."""
_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)


def upload_name(recording_id: str) -> str:
    """Return the name of a recording's folder in the spool: its id if that is the name of a file."""
    return recording_id if _FOLDER_NAME.fullmatch(recording_id) else sha256(recording_id.encode()).hexdigest()


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the recorder process must know."""

    storage: Storage
    """The path of a folder is relative to the working directory of the process."""
    spool_bytes: int
    """What may wait for the store, over all recordings."""
    end_timeout_seconds: float
    """Time in which the store must have all objects of a recording that has ended."""
    stop_timeout_seconds: float
    """The same for all recordings together when the process stops."""
    max_left_seconds: float
    """How long the store may refuse what a recording has left."""


class StartRecorder(Command, frozen=True, kw_only=True):
    """The first command. `tap_directory` is where the socket for taps is made."""

    settings: RecorderSettings
    tap_directory: str
    unsettled: tuple[str, ...] = ()
    """The recordings of earlier processes whose outcomes are not durable yet. SettleCommand follows for each."""


class RecordCommand(Command, frozen=True, kw_only=True):
    """RecordingEngine.start_recording, of a recording that is not known yet."""

    request: RecordingRequest


class AcceptTapRequest(Request, frozen=True, kw_only=True):
    """Receive a source for the recording whose id is `connection_id`. A tap that it has is closed."""

    description: SourceDescription


class TapAccepted(Reply, frozen=True, kw_only=True):
    """The ticket for the engine of the source."""

    ticket: FeedTicket


class FailCommand(Command, frozen=True, kw_only=True):
    """End a recording with a failure, because its source cannot be tapped."""

    recording_id: str
    detail: str


class EndPartCommand(Command, frozen=True, kw_only=True):
    """RecordingEngine.end_part."""

    recording_id: str


class EndRecordingCommand(Command, frozen=True, kw_only=True):
    """RecordingEngine.end_recording."""

    recording_id: str


class SettleCommand(Command, frozen=True, kw_only=True):
    """The outcome of a recording is durable: its journal is not needed any more."""

    recording_id: str


class RecorderRunning(Report, frozen=True, kw_only=True):
    """The process records from now on."""


class TapLost(Report, frozen=True, kw_only=True):
    """The tap of a recording has ended, although its part has not."""

    recording_id: str


class RecordingReported(Report, frozen=True, kw_only=True):
    """A fact for the listener of the RecordingEngine."""

    recorded: RecordingFact


class RecorderMeasured(Report, frozen=True, kw_only=True):
    """What the process has used so far."""

    statistics: RecorderStatistics


RecorderCommand: TypeAlias = (
    StartRecorder
    | RecordCommand
    | AcceptTapRequest
    | FailCommand
    | EndPartCommand
    | EndRecordingCommand
    | SettleCommand
    | CommonCommand
)
RecorderReport: TypeAlias = (
    RecorderRunning
    | StartFailed
    | TapAccepted
    | RequestRefused
    | TapLost
    | RecordingReported
    | RecorderMeasured
    | Heartbeat
    | Logged
)

_commands: MessageReader[RecorderCommand] = MessageReader(
    msgspec.msgpack.Decoder(RecorderCommand), max_bytes=MAX_CONTROL_BYTES
)
_reports: MessageReader[RecorderReport] = MessageReader(
    msgspec.msgpack.Decoder(RecorderReport), max_bytes=MAX_CONTROL_BYTES
)


async def receive_command(reader: asyncio.StreamReader) -> RecorderCommand:
    """Read the next command. Raises BrokenStreamError."""
    return await _commands.next(reader)


async def receive_report(reader: asyncio.StreamReader) -> RecorderReport:
    """Read the next report. Raises BrokenStreamError."""
    return await _reports.next(reader)
