"""The messages that every kind of worker process exchanges with the server.

The server sends commands and the worker sends reports, both on the control socket:

    server                                     worker
      | -- start command (per kind of worker) -> |
      | <- running report (per kind) ----------- |   or StartFailed, and the worker exits
      | -- Request ----------------------------> |
      | <- Reply with the same request_id ------ |   its own type, or RequestRefused
      | -- other commands ---------------------> |   no reply
      | <- FactReported, Heartbeat, Logged ----- |   at any time
      | -- ServerAlive ------------------------> |   again and again, to a worker that must not outlive a stopped server
      | -- Stop -------------------------------> |   the worker closes its connections and exits

Each kind of worker defines its own commands and reports as subclasses of the classes here.
"""

import asyncio
from typing import Final, TypeAlias

import msgspec

from stagebook.media.port import MediaFact, RefusalReason
from stagebook.media.worker.framing import frame

MAX_CONTROL_BYTES: Final = 1 << 20
"""Maximum body of a message on the control socket. An SDP offer or answer is the largest one."""


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A message from the server to the worker. The first command of a run holds the worker's settings."""


class Request(Command, frozen=True, kw_only=True):
    """A command about one connection that the worker replies to."""

    request_id: int
    connection_id: str


class Stop(Command, frozen=True, kw_only=True):
    """Close all connections and exit."""


class ServerAlive(Command, frozen=True, kw_only=True):
    """The server is running. The worker exits if no command follows within `timeout_seconds`."""

    timeout_seconds: float


CommonCommand: TypeAlias = Stop | ServerAlive
"""What every kind of worker is sent."""


class Report(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A message from the worker to the server."""


class StartFailed(Report, frozen=True, kw_only=True):
    """The worker could not start, for example because a port is in use. The worker exits after this report."""

    detail: str


class Reply(Report, frozen=True, kw_only=True):
    """The result of the request with the same `request_id`."""

    request_id: int


class RequestRefused(Reply, frozen=True, kw_only=True):
    """The worker refused the request. The server raises it as MediaRefusedError."""

    reason: RefusalReason
    detail: str


class FactReported(Report, frozen=True, kw_only=True):
    """A media fact for the listener of the MediaEngine."""

    fact: MediaFact


class Heartbeat(Report, frozen=True, kw_only=True):
    """Sent once a second from the worker's event loop. The server kills a worker whose reports stop."""


class Logged(Report, frozen=True, kw_only=True):
    """A log record of the worker. The server writes it to its own log, in the configured format.

    `level` is a level number of the `logging` module. `values` are the record's structured fields.
    """

    logger: str
    level: int
    message: str
    values: dict[str, str | int | float | bool | None] = {}


def send(writer: asyncio.StreamWriter, message: Command | Report) -> None:
    """Queue one message for sending. Raises ValueError as `frame` does."""
    writer.write(frame(message, max_bytes=MAX_CONTROL_BYTES))
