"""The messages between the server and a composition process, in addition to those of every worker (`worker_messages`).

server                                    composition process
  | -- StartComposing --------------------> |
  | <- ComposingStarted ------------------- |   or StartFailed
  | -- ShowParticipants ------------------> |   no reply
  | -- AcceptTap -------------------------> |
  | <- ComposedTapAccepted ---------------- |   or RequestRefused
  | -- CloseTap --------------------------> |   no reply
  | <- TapEnded --------------------------- |   unless it was closed
  | <- OutputChanged ---------------------- |   at any time
  | <- ComposingMeasured ------------------ |   every two seconds, and before ComposingEnded
  | -- EndComposing ----------------------> |   complete all outputs
  | <- ComposingEnded --------------------- |   the process waits for Stop
"""

import asyncio
from typing import Final, TypeAlias

import msgspec

from stagebook.media.composition.composition_port import (
    ComposedParticipant,
    CompositionRequest,
    OutputFact,
)
from stagebook.media.composition.processes.composing_statistics import ComposingStatistics
from stagebook.media.media_bus import FeedTicket
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

SPOOLS_NAME: Final = "_compositions"
"""The folder of the spools, in the folder of recordings. No bucket can have this name (storage configurations:
`[a-z0-9-.]+`)."""


class ComposingSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What all compositions of a server have in common."""

    storage: Storage
    """The path of a folder is relative to the working directory of the process."""
    spool_bytes: int
    max_left_seconds: float = float("inf")
    """How long the store may refuse what a composition has left."""
    decoding_threads: int


class StartComposing(Command, frozen=True, kw_only=True):
    """The first command."""

    request: CompositionRequest
    setup: ComposingSetup
    tap_directory: str
    """The folder for the socket of the taps."""
    leftovers: tuple[str, ...] = ()
    """The spools of lost compositions, by name, which this process completes."""


class ShowParticipants(Command, frozen=True, kw_only=True):
    """CompositionEngine.show_participants."""

    participants: tuple[ComposedParticipant, ...]


class AcceptTap(Request, frozen=True, kw_only=True):
    """Accept the media of a participant. `connection_id` is the id of the tap."""

    participant_id: str
    description: SourceDescription


class CloseTap(Command, frozen=True, kw_only=True):
    """The participant is no longer shown."""

    tap_id: str


class EndComposing(Command, frozen=True, kw_only=True):
    """CompositionEngine.end_composition."""


class ComposingStarted(Report, frozen=True, kw_only=True):
    """The process composes."""


class ComposedTapAccepted(Reply, frozen=True, kw_only=True):
    """The ticket for the engine of the source."""

    ticket: FeedTicket


class TapEnded(Report, frozen=True, kw_only=True):
    """A tap has ended by itself."""

    tap_id: str


class OutputChanged(Report, frozen=True, kw_only=True):
    """A fact about a destination."""

    fact: OutputFact


class ComposingMeasured(Report, frozen=True, kw_only=True):
    """What the process has used so far."""

    statistics: ComposingStatistics


class ComposingEnded(Report, frozen=True, kw_only=True):
    """All outputs are complete or have failed."""


ComposingCommand: TypeAlias = StartComposing | ShowParticipants | AcceptTap | CloseTap | EndComposing | CommonCommand
ComposingReport: TypeAlias = (
    ComposingStarted
    | StartFailed
    | ComposedTapAccepted
    | RequestRefused
    | TapEnded
    | OutputChanged
    | ComposingMeasured
    | ComposingEnded
    | Heartbeat
    | Logged
)

_commands: MessageReader[ComposingCommand] = MessageReader(
    msgspec.msgpack.Decoder(ComposingCommand), max_bytes=MAX_CONTROL_BYTES
)
_reports: MessageReader[ComposingReport] = MessageReader(
    msgspec.msgpack.Decoder(ComposingReport), max_bytes=MAX_CONTROL_BYTES
)


async def receive_composing_command(reader: asyncio.StreamReader) -> ComposingCommand:
    """Read the next command. Raises BrokenStreamError."""
    return await _commands.next(reader)


async def receive_composing_report(reader: asyncio.StreamReader) -> ComposingReport:
    """Read the next report. Raises BrokenStreamError."""
    return await _reports.next(reader)
