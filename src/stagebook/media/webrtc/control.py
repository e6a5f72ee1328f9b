"""The typed messages between the server and an engine process, and their framing on a stream socket.

Each message is msgpack behind its length in four bytes. Both ends are one release: there is no version to agree on.
"""

import asyncio
from typing import TypeAlias

import msgspec

from stagebook.media.port import Answer, MediaFact, PatchAnswer, RefusalReason
from stagebook.media.webrtc.settings import EngineSettings

MAX_MESSAGE_BYTES = 1 << 20
_LENGTH_BYTES = 4


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the server tells an engine."""


class Report(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What an engine tells the server."""


class Run(Command, frozen=True, kw_only=True):
    """The first command: start with these settings. Reported by Running or NotRunning."""

    settings: EngineSettings


class Publish(Command, frozen=True, kw_only=True):
    """As MediaEngine.publish. Reported by Answered or Refused, as the next two."""

    request_id: int
    connection_id: str
    source_id: str
    offer: str


class Subscribe(Command, frozen=True, kw_only=True):
    """As MediaEngine.subscribe."""

    request_id: int
    connection_id: str
    source_id: str
    offer: str


class Patch(Command, frozen=True, kw_only=True):
    """As MediaEngine.patch. Reported by Patched or Refused."""

    request_id: int
    connection_id: str
    fragment: str
    ice_session: str | None


class Close(Command, frozen=True, kw_only=True):
    """As MediaEngine.close. Not reported."""

    connection_id: str


class EndSource(Command, frozen=True, kw_only=True):
    """As MediaEngine.end_source. Not reported."""

    source_id: str


class Stop(Command, frozen=True, kw_only=True):
    """Say goodbye to all peers and exit."""


class Running(Report, frozen=True, kw_only=True):
    """The sockets are bound."""

    udp_port: int


class NotRunning(Report, frozen=True, kw_only=True):
    """The engine cannot start, and exits."""

    detail: str


class Answered(Report, frozen=True, kw_only=True):
    """An offer was taken."""

    request_id: int
    answer: Answer


class Patched(Report, frozen=True, kw_only=True):
    """A fragment was taken."""

    request_id: int
    answer: PatchAnswer


class Refused(Report, frozen=True, kw_only=True):
    """An offer or a fragment was refused."""

    request_id: int
    reason: RefusalReason
    detail: str


class Heard(Report, frozen=True, kw_only=True):
    """A fact."""

    fact: MediaFact


class Alive(Report, frozen=True, kw_only=True):
    """Told once a second, so that an engine that hangs is noticed."""


class Logged(Report, frozen=True, kw_only=True):
    """A line for the server's log, which alone knows where lines go. `level` is a number of the logging module."""

    logger: str
    level: int
    text: str


Request: TypeAlias = Publish | Subscribe | Patch
Reply: TypeAlias = Answered | Patched | Refused

AnyCommand: TypeAlias = Run | Publish | Subscribe | Patch | Close | EndSource | Stop
AnyReport: TypeAlias = Running | NotRunning | Answered | Patched | Refused | Heard | Alive | Logged

_encoder = msgspec.msgpack.Encoder()
_commands: msgspec.msgpack.Decoder[AnyCommand] = msgspec.msgpack.Decoder(AnyCommand)
_reports: msgspec.msgpack.Decoder[AnyReport] = msgspec.msgpack.Decoder(AnyReport)


class ControlBrokenError(Exception):
    """The other end is gone, or speaks nonsense."""


def send(writer: asyncio.StreamWriter, message: Command | Report) -> None:
    """Queue one message. Raises ValueError if it is too large or holds text that is no Unicode."""
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a control message of more than {MAX_MESSAGE_BYTES} bytes")
    writer.write(len(body).to_bytes(_LENGTH_BYTES) + body)


async def receive_command(reader: asyncio.StreamReader) -> AnyCommand:
    """The next command. Raises ControlBrokenError."""
    body = await _frame(reader)
    try:
        return _commands.decode(body)
    except msgspec.DecodeError as error:
        raise ControlBrokenError(f"not a command: {error}") from error


async def receive_report(reader: asyncio.StreamReader) -> AnyReport:
    """The next report. Raises ControlBrokenError."""
    body = await _frame(reader)
    try:
        return _reports.decode(body)
    except msgspec.DecodeError as error:
        raise ControlBrokenError(f"not a report: {error}") from error


async def _frame(reader: asyncio.StreamReader) -> bytes:
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
        if length > MAX_MESSAGE_BYTES:
            raise ControlBrokenError(f"a control message of {length} bytes is announced")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise ControlBrokenError("the other end is gone") from error
