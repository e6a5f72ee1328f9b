"""A real book with sessions whose events are appended, and the real delivery process beside it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.stage.events import Event, EventName
from stagebook.webhooks.delivery.delivery_messages import DeliverySettings
from stagebook.webhooks.delivery.delivery_process import WebhookDelivery
from stagebook.webhooks.destination import Destination
from stagebook.webhooks.webhook_service import NewDestination, WebhookService
from tests.book.sample import (
    ACCOUNT,
    append,
    append_composition,
    commit,
    composition,
    open_book,
    open_session,
    put,
    put_composition,
    put_stage,
)
from tests.webhooks.destinations import SECRET
from tests.webhooks.receiver import Receiver

SEAL_SECRET = bytes(range(64))
DEADLINE_SECONDS = 60


class World:
    """A data folder with a book, the operations on webhooks, and the delivery process.

    `append` writes the next event of a session. The detail of an event is its number within its session, so that a
    receiver can be asked for the order.
    """

    def __init__(self, folder: Path, *, max_age_ms: int, timeout_seconds: float) -> None:
        self.book_path, self.file_path = folder / "book.sqlite3", folder / "webhooks.sqlite3"
        self.book: SqliteBook = open_book(self.book_path)
        self.service = WebhookService(
            source=self.book_path,
            file_path=self.file_path,
            secret=SEAL_SECRET,
            randomness=SystemRandomness(),
            now_ms=SystemClock().now_ms,
        )
        self._settings = DeliverySettings(
            timeout_seconds=timeout_seconds, max_age_ms=max_age_ms, denied_networks=("169.254.0.0/16",)
        )
        self.numbers: dict[str, int] = {}
        self.delivery = self._new_delivery()

    def _new_delivery(self) -> WebhookDelivery:
        return WebhookDelivery(
            source=self.book_path, file_path=self.file_path, secret=SEAL_SECRET, settings=self._settings
        )

    async def open_sessions(self, *names: str) -> None:
        """Open a session with one participant for each name, each on a stage of its own."""
        for name in names:
            arn = stage_arn(name)
            await commit(self.book, put_stage(arn), open_session(session_id(name), arn=arn))
            await commit(self.book, put("p", arn=arn, session_id=session_id(name)))
            self.numbers[name] = 0

    async def append(self, *names: str) -> None:
        """Append an event to the session of each name, in this order."""
        changes = []
        for name in names:
            self.numbers[name] += 1
            changes.append(
                append(
                    "p",
                    Event(name=EventName.JOINED, detail=str(self.numbers[name])),
                    arn=stage_arn(name),
                    session_id=session_id(name),
                    at_ms=SystemClock().now_ms(),
                )
            )
        await commit(self.book, *changes)

    async def compose(self, name: str) -> str:
        """Put a composition of a stage; return its ARN."""
        made = composition(stage_arn=stage_arn(name))
        await commit(self.book, put_composition(made))
        return made.arn

    async def append_composition(self, arn: str) -> None:
        """Append an event of a composition."""
        await commit(self.book, append_composition(arn=arn, at_ms=SystemClock().now_ms()))

    def add(self, target: str, **members: Any) -> Destination:  # noqa: ANN401 - the members of NewDestination
        """Make a destination. A running delivery process is told."""
        made = self.service.create(ACCOUNT, NewDestination(target=target, secret=SECRET, **members))
        self.delivery.note_changed()
        return made

    def start(self) -> None:
        """Start the deliveries."""
        self.delivery.start()
        self.book.on_durable(self.delivery.note_durable)

    async def kill_process(self) -> None:
        """End the delivery process as a crash would."""
        process_id = self.delivery.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGKILL)
        await wait_until(lambda: self.delivery.process_id not in (None, process_id))


def stage_arn(name: str) -> str:
    """Return the ARN of the stage of a session."""
    return f"arn:aws:ivs:us-west-2:{ACCOUNT}:stage/{name:x<12}"


def session_id(name: str) -> str:
    """Return the id of a session."""
    return f"st-{name}"


@asynccontextmanager
async def delivering(
    folder: Path, *, max_age_ms: int = 3_600_000, timeout_seconds: float = 20.0
) -> AsyncIterator[World]:
    """A world whose deliveries have not been started yet."""
    world = World(folder, max_age_ms=max_age_ms, timeout_seconds=timeout_seconds)
    try:
        yield world
    finally:
        await world.delivery.stop()
        await world.book.close()


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the state of another process has no event to wait for
            await asyncio.sleep(0.01)


def numbers_of(receiver: Receiver, name: str) -> list[int]:
    """Return the numbers of the events of a session that the receiver has accepted, in their order of arrival."""
    details = [each.body["detail"] for each in receiver.accepted]
    return [int(each["detail"]) for each in details if each["sessionId"] == session_id(name)]


def without_repetitions(numbers: list[int]) -> list[int]:
    """Return the numbers in the order of their first arrival."""
    return list(dict.fromkeys(numbers))
