"""What the server and any of its media processes tell each other, whatever the process is for.

The messages of one kind of process stand beside it and are built on these.
"""

import asyncio
from typing import Final

import msgspec

from stagebook.media.port import MediaFact, RefusalReason
from stagebook.media.worker.framing import frame

MAX_CONTROL_BYTES: Final = 1 << 20


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the server tells the process. The first one says how to run."""


class Request(Command, frozen=True, kw_only=True):
    """A command that is replied to, about one connection."""

    request_id: int
    connection_id: str


class Stop(Command, frozen=True, kw_only=True):
    """Say goodbye to all peers and exit."""


class Report(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the process tells the server."""


class NotRunning(Report, frozen=True, kw_only=True):
    """The process cannot run, and exits."""

    detail: str


class Reply(Report, frozen=True, kw_only=True):
    """What became of a request."""

    request_id: int


class Refused(Reply, frozen=True, kw_only=True):
    """The request was refused."""

    reason: RefusalReason
    detail: str


class FactReported(Report, frozen=True, kw_only=True):
    """A fact."""

    fact: MediaFact


class Alive(Report, frozen=True, kw_only=True):
    """Told once a second, so that a process that hangs is noticed."""


class Logged(Report, frozen=True, kw_only=True):
    """A line for the server's log, which alone knows where lines go. `level` is a number of the logging module."""

    logger: str
    level: int
    text: str
    values: dict[str, str | int | float | bool | None] = {}


def send(writer: asyncio.StreamWriter, message: Command | Report) -> None:
    """Queue one message. Raises ValueError if it is too large or holds text that is no Unicode."""
    writer.write(frame(message, max_bytes=MAX_CONTROL_BYTES))
