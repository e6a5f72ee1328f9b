"""An event log in memory, and a client that follows it through the parts of the live tail."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from typing import Any

from stagebook.api.asgi import Scope
from stagebook.api.routes.api_route import ReadBody, Role
from stagebook.api.routes.reader_places import ReaderPlaces
from stagebook.api.watch.live_tail.live_events import LiveEvents
from stagebook.api.watch.live_tail.live_reader import LiveReader
from stagebook.api.watch.live_tail.tail_page import TailPage, read_tail_page
from stagebook.api.watch.live_tail.tail_stream import TailStream
from stagebook.book.event_log import LoggedEvent
from stagebook.history.event_query import EventFilter
from stagebook.stage.errors import ServerBusyError
from stagebook.stage.events import EventName
from tests.history.logged import ACCOUNT, TIME_MS, logged

FIRST = TIME_MS << 20
EVERYTHING = EventFilter(account_id=ACCOUNT)


class ListedLog:
    """Implements `EventLog`. What is appended is durable at once."""

    def __init__(self) -> None:
        self.events: list[LoggedEvent] = []
        self.last = FIRST
        self.reads = 0
        self.failure: Exception | None = None

    def append(self, name: EventName = EventName.JOINED, **members: Any) -> LoggedEvent:  # noqa: ANN401 - of Event
        """Append an event."""
        self.last += 1
        event = logged(name, sequence=self.last, participant_id=f"p{self.last - FIRST}", **members)
        self.events.append(event)
        return event

    def last_sequence(self) -> int:
        """See `EventLog`."""
        return self.last

    def read_entries_after(self, sequence: int, *, limit: int) -> list[LoggedEvent]:
        """See `EventLog`."""
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return [each for each in self.events if each.sequence > sequence][:limit]

    async def read_page(self, after: int, where: EventFilter, resumed_id: str | None) -> TailPage:
        """Read a page, not in the turn of the event loop in which it was asked for."""
        await asyncio.sleep(0)
        files: Any = ListedFiles(self)
        page = read_tail_page(files, after, where, resumed_id=resumed_id)
        await asyncio.sleep(0)
        return page


class DelayedLog:
    """Implements `FollowedLog` over a list. A read takes some turns of the event loop, as one in a thread does."""

    def __init__(self, log: ListedLog, chance: random.Random) -> None:
        self._log = log
        self._chance = chance

    def last_sequence(self) -> int:
        """See `FollowedLog`."""
        return self._log.last_sequence()

    async def read_entries_after(self, sequence: int, *, limit: int) -> list[LoggedEvent]:
        """See `FollowedLog`."""
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)
        events = self._log.read_entries_after(sequence, limit=limit)
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)
        return events


class ListedFiles:
    """The part of `HistoryFiles` that reads of the past use, without a search index."""

    can_be_indexed = True

    def __init__(self, log: ListedLog) -> None:
        self.log = log

    @property
    def index(self) -> None:
        """There is none."""
        raise ServerBusyError("there is no search index")


class OneReader:
    """The caller of every request, who may do everything."""

    account_id = ACCOUNT
    name = "key"

    async def authenticate(self, _scope: Scope, _read_body: ReadBody) -> "OneReader":
        """Let everybody in."""
        return self

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        """Allow it."""


def allow() -> None:
    """Let a reader go on."""


def new_reader(live: LiveEvents, where: EventFilter = EVERYTHING) -> LiveReader:
    """Open a reader with access."""
    return live.open_reader(where, check_access=allow)


async def stream(
    live: LiveEvents, log: ListedLog, *, after: str | None = None, where: EventFilter = EVERYTHING
) -> AsyncGenerator[bytes, None]:
    """Return the messages of a stream."""
    place = ReaderPlaces(2).take(OneReader())
    tail = TailStream(where, live=live, read=log.read_page, place=place, check_access=allow)
    if after is not None:
        await tail.begin_after_event(after)
    return tail.messages(retry_ms=1)


class ReceivedEvents:
    """What a client has received, as an `EventSource` understands it."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.names: list[str] = []
        self.last_event_id: str | None = None
        self.disconnect: str | None = None

    def receive(self, part: bytes) -> None:
        """Receive complete messages."""
        for message in part.split(b"\n\n"):
            fields = dict(line.split(b": ", 1) for line in message.split(b"\n") if b": " in line)
            if b"id" in fields:
                self.last_event_id = fields[b"id"].decode()
            if b"event" in fields:
                self.disconnect = json.loads(fields[b"data"])["code"]
            elif b"data" in fields:
                document = json.loads(fields[b"data"])
                assert document["id"] == self.last_event_id
                self.ids.append(document["id"])
                self.names.append(document["name"])
