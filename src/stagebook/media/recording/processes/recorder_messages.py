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
  | <- TapLost ---------------------------- |   at any time during a part
  | <- RecordingReported ------------------ |   at any time
  | <- RecorderMeasured ------------------- |   every two seconds
"""

import asyncio
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
    Heartbeat,
    Logged,
    Reply,
    Report,
    Request,
    RequestRefused,
    StartFailed,
    Stop,
)
from stagebook.storage.storage_settings import Storage

SPOOL_NAME: Final = "_spool"
"""The folder of the spool in that of recordings. No bucket can have this name (shape BucketName: `[a-z0-9-.]+`)."""


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


class StartRecorder(Command, frozen=True, kw_only=True):
    """The first command. `tap_directory` is where the socket for taps is made."""

    settings: RecorderSettings
    tap_directory: str


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
    StartRecorder | RecordCommand | AcceptTapRequest | FailCommand | EndPartCommand | EndRecordingCommand | Stop
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
