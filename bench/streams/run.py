"""Measures what one event costs for each of many readers of the live tail, and how long the event loop is busy."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from bench.page.books import ACCOUNT_ID, REGION, START_MS, no_secret
from bench.report import Part, Table, Target, number
from stagebook.api.asgi import Scope
from stagebook.api.routes.api_route import ReadBody, Role
from stagebook.api.routes.reader_places import ReaderPlaces
from stagebook.api.routes.route_api import RouteApi
from stagebook.api.watch.live_tail.event_stream import EventStreams
from stagebook.api.watch.live_tail.live_events import LiveEvents
from stagebook.book.changes import AppendEvent, OpenSession, PutParticipant, PutStage
from stagebook.book.sqlite.open_readers import open_event_log
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.tables.followed_logs import ImmediateLog
from stagebook.config.rules import Address
from stagebook.history.processes.history_processes import HistoryProcesses
from stagebook.server.http.http_server import HttpLimits, HttpServer
from stagebook.server.listen_sockets import bind_listen_socket
from stagebook.server.system_clock import SystemRandomness
from stagebook.stage.events import Cause, Event, EventName
from stagebook.stage.resources import ParticipantRecord, Stage

READERS = 1_000
SINGLE_EVENTS = 50
BURSTS, BURST_EVENTS = 5, 100
_PAUSE_SECONDS = 0.2
_STAGE_ARN = f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:stage/streamed"
_SESSION_ID = "st-streamed"
_LIMITS = HttpLimits(
    connections=4 * READERS,
    connections_per_network=4 * READERS,
    request_timeout_seconds=30,
    keep_alive_seconds=30,
    websocket_message_size_bytes=4_096,
    websocket_ping_seconds=30,
    websocket_timeout_seconds=30,
    shutdown_timeout_seconds=5,
)


class _Everybody:
    account_id = ACCOUNT_ID
    name = "bench"

    async def authenticate(self, _scope: Scope, _read_body: ReadBody) -> "_Everybody":
        return self

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        """Allow it."""


class _Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of one reader and event in microseconds of CPU time, and the longest turn of the event loop in milliseconds."""

    each_us: float
    longest_turn_ms: float


def measure_streams(folder: Path) -> Part:
    """Measure single events, and bursts of events in one transaction."""
    single, burst = uvloop.run(_measure(folder / "streamed.sqlite3"))
    table = Table(
        headings=("events", "us per reader and event", "longest turn ms"),
        rows=tuple(
            (name, number(cost.each_us), number(cost.longest_turn_ms))
            for name, cost in (("one at a time", single), (f"{BURST_EVENTS} in a transaction", burst))
        ),
    )
    return Part(
        title="Event streams",
        method=f"{READERS:,} readers without a filter in another process, each with its own connection. CPU is that of "
        "the thread of the event loop, with the commit of the events.",
        tables=(table,),
        targets=(
            Target(
                what="longest turn for one event to 1,000 readers",
                measured=single.longest_turn_ms,
                at_most=5,
                unit="ms",
            ),
        ),
    )


async def _measure(path: Path) -> tuple[_Cost, _Cost]:
    book = SqliteBook.open(path, read_secret=no_secret)
    stage = Stage(arn=_STAGE_ARN, account_id=ACCOUNT_ID, name="streamed", created_ms=START_MS)
    session = OpenSession(stage_arn=_STAGE_ARN, session_id=_SESSION_ID, start_ms=START_MS)
    participant = ParticipantRecord(participant_id="p")
    put = PutParticipant(stage_arn=_STAGE_ARN, session_id=_SESSION_ID, participant=participant)
    await book.submit([PutStage(stage=stage), session, put]).durable
    places = ReaderPlaces(4 * READERS)
    async with _server(book, path, places) as port:
        module, *arguments = "bench.streams.readers_process", str(port), str(READERS)
        readers = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments)
        try:
            while places.taken < READERS:  # noqa: ASYNC110 - nobody is notified of a new reader
                await asyncio.sleep(_PAUSE_SECONDS)
            await asyncio.sleep(1)
            return await _cost(book, SINGLE_EVENTS, 1), await _cost(book, BURSTS, BURST_EVENTS)
        finally:
            readers.kill()
            await readers.wait()
            await book.close()


async def _cost(book: SqliteBook, transactions: int, events: int) -> _Cost:
    """Append transactions of so many events; first for the CPU time, then for the turns of the event loop."""
    idle_seconds = await _cpu_seconds(book, transactions, 0)
    spent_seconds = await _cpu_seconds(book, transactions, events) - idle_seconds
    turns: list[float] = []
    watching = asyncio.create_task(_watch_turns(turns))
    await _cpu_seconds(book, transactions, events)
    watching.cancel()
    return _Cost(each_us=spent_seconds / (transactions * events * READERS) * 1e6, longest_turn_ms=max(turns) * 1_000)


async def _cpu_seconds(book: SqliteBook, transactions: int, events: int) -> float:
    started_seconds = time.thread_time()
    for _ in range(transactions):
        if events:
            await book.submit([_event()] * events).durable
        await asyncio.sleep(_PAUSE_SECONDS)
    return time.thread_time() - started_seconds


async def _watch_turns(turns: list[float]) -> None:
    last_seconds = time.thread_time()
    while True:
        await asyncio.sleep(0)
        now_seconds = time.thread_time()
        turns.append(now_seconds - last_seconds)
        last_seconds = now_seconds


def _event() -> AppendEvent:
    return AppendEvent(
        stage_arn=_STAGE_ARN,
        session_id=_SESSION_ID,
        participant_id="p",
        event=Event(name=EventName.JOINED, cause=Cause.CLIENT),
        at_ms=START_MS,
    )


@asynccontextmanager
async def _server(book: SqliteBook, path: Path, places: ReaderPlaces) -> AsyncIterator[int]:
    """Serve event streams; yield the port."""
    log, history = open_event_log(path), HistoryProcesses(path, processes=1)
    live = LiveEvents(ImmediateLog(log), heartbeat_seconds=60)
    book.on_durable(live.note_durable)
    live.start()
    streams = EventStreams(live=live, history=history, places=places, randomness=SystemRandomness(), region=REGION)
    started = asyncio.Event()
    with bind_listen_socket(Address(host="127.0.0.1", port=0)) as bound:
        server = HttpServer(
            RouteApi(prefix="/watch/v1/", routes=[streams.route()], access=_Everybody()),
            limits=_LIMITS,
            trusted_proxies=(),
            on_started=started.set,
            before_close=live.end,
        )
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        await started.wait()
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
            await history.close()
            log.close()
