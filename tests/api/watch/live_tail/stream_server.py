"""The event stream of a real book over the real HTTP server, in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Concatenate

import msgspec

from stagebook.api.routes.reader_places import ReaderPlaces
from stagebook.api.routes.route_api import RouteApi
from stagebook.api.watch.live_tail.event_stream import EventStreams
from stagebook.api.watch.live_tail.live_events import LiveEvents
from stagebook.book.sqlite.open_readers import open_event_log
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.tables.followed_logs import ImmediateLog
from stagebook.history.history_files import HistoryFiles
from stagebook.history.history_reader import Parameters, Result
from stagebook.server.system_clock import SystemRandomness
from stagebook.stage.events import EventName
from tests.api.watch.live_tail.listed_log import OneReader
from tests.book.sample import append, commit, open_book, open_session, put, put_stage
from tests.server.http.test_websocket_protocol import LIMITS, running_server


class ReaderHere:
    """Implements `HistoryReader` in this process."""

    def __init__(self, book_path: Path) -> None:
        self.files = HistoryFiles(book_path)
        self.reads = 0

    async def run(
        self,
        read: Callable[Concatenate[HistoryFiles, Parameters], Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """See `HistoryReader`."""
        self.reads += 1
        await asyncio.sleep(0)
        return read(self.files, *args, **kwargs)


class StreamServer:
    """A server at `url` with a book of one participant."""

    def __init__(
        self, port: int, book: SqliteBook, live: LiveEvents, places: ReaderPlaces, history: ReaderHere
    ) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.book = book
        self.live = live
        self.places = places
        self.history = history

    async def append(self, count: int, name: EventName = EventName.PUBLISH_ERROR) -> None:
        """Append events in one transaction, and wait until they are durable."""
        await commit(self.book, *(append("p", name) for _ in range(count)))

    def recorded_ids(self) -> list[str]:
        """Return the ids of all events in order."""
        return [each.event_id for each in self.history.files.log.read_after(0, limit=1_000_000)]

    async def until_readers(self, count: int) -> None:
        """Wait until so many streams are open."""
        async with asyncio.timeout(20):
            while self.places.taken != count:  # noqa: ASYNC110 - nobody is notified of an end
                await asyncio.sleep(0.005)


@asynccontextmanager
async def stream_server(
    folder: Path, *, heartbeat_seconds: float = 60, places: int = 2_000, timeout_seconds: float = 30
) -> AsyncIterator[StreamServer]:
    """Run a server."""
    path = folder / "book"
    book = open_book(path)
    await commit(book, put_stage(), open_session(), put("p"))
    log, history = open_event_log(path), ReaderHere(path)
    live, taken = LiveEvents(ImmediateLog(log), heartbeat_seconds=heartbeat_seconds), ReaderPlaces(places)
    book.on_durable(live.note_durable)
    live.start()
    streams = EventStreams(live=live, history=history, places=taken, randomness=SystemRandomness(), region="us-west-2")
    api = RouteApi(prefix="/watch/v1/", routes=[streams.route()], access=OneReader())
    limits = msgspec.structs.replace(LIMITS, connections=5_000, request_timeout_seconds=timeout_seconds)
    try:
        async with running_server(api, limits=limits) as port:
            yield StreamServer(port, book, live, taken, history)
            await live.end()
    finally:
        await live.end()
        history.files.close()
        log.close()
        await book.close()
