"""The messages between the server and the delivery process, in addition to those of every worker process."""

import asyncio
from pathlib import Path
from typing import TypeAlias

import msgspec

from stagebook.book.book_source import BookSource, DatabaseSource
from stagebook.media.worker.framing import MessageReader
from stagebook.media.worker.worker_messages import (
    MAX_CONTROL_BYTES,
    Command,
    CommonCommand,
    Heartbeat,
    Logged,
    Report,
    RequestRefused,
    StartFailed,
)
from stagebook.webhooks.delivery_records import Backlog


class DeliverySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of deliveries. `denied_networks` are the addresses that HTTP endpoints must not have."""

    timeout_seconds: float
    max_age_ms: int
    denied_networks: tuple[str, ...]


class StartDelivery(Command, frozen=True, kw_only=True):
    """The first command: what is delivered, from which book and file. `secret` opens the secrets of destinations.

    The book is in the SQLite file `book_path`, or in a database; then the events of the accounts are delivered that the
    run `run_id` owns.
    """

    book_path: str | None
    database: DatabaseSource | None = None
    run_id: int | None = None
    file_path: str
    secret: bytes
    settings: DeliverySettings

    @property
    def source(self) -> BookSource:
        """Where the book is. Raises ValueError if the command does not say it."""
        if self.database is not None:
            return self.database
        if self.book_path is None:
            raise ValueError("the book has neither a path nor a database")
        return Path(self.book_path)


class EventsDurable(Command, frozen=True, kw_only=True):
    """The book has new events."""


class WebhooksChanged(Command, frozen=True, kw_only=True):
    """The tables of webhooks have changed. The process also notices it by itself, within half a second."""


class DeliveryRunning(Report, frozen=True, kw_only=True):
    """The process delivers events."""


class BacklogReported(Report, frozen=True, kw_only=True):
    """The backlogs of all enabled destinations, about once a second while they change."""

    backlogs: tuple[Backlog, ...]


DeliveryCommand: TypeAlias = StartDelivery | EventsDurable | WebhooksChanged | CommonCommand
DeliveryReport: TypeAlias = DeliveryRunning | BacklogReported | StartFailed | RequestRefused | Heartbeat | Logged

_commands: MessageReader[DeliveryCommand] = MessageReader(
    msgspec.msgpack.Decoder(DeliveryCommand), max_bytes=MAX_CONTROL_BYTES
)
_reports: MessageReader[DeliveryReport] = MessageReader(
    msgspec.msgpack.Decoder(DeliveryReport), max_bytes=MAX_CONTROL_BYTES
)


async def receive_command(reader: asyncio.StreamReader) -> DeliveryCommand:
    """Read the next command. Raises BrokenStreamError."""
    return await _commands.next(reader)


async def receive_report(reader: asyncio.StreamReader) -> DeliveryReport:
    """Read the next report. Raises BrokenStreamError."""
    return await _reports.next(reader)
