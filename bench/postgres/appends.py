"""Appends to the book in PostgreSQL beside appends to SQLite: a burst of joins, and transactions that are awaited."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import uvloop

from bench.appends.running_manager import (
    ACCOUNT_ID,
    RunningManager,
    count_events,
    participant_ids,
    running_manager,
    started_manager,
)
from bench.figures import median, percentile
from bench.machine import cpu_seconds
from bench.postgres.measured_database import MeasuredDatabase, measured_database, open_postgres_book
from bench.report import Table, number
from stagebook.book.changes import Change
from stagebook.book.memory.memory_book import MemoryBook
from stagebook.book.postgres.postgres_readers import open_pool
from stagebook.book.server_book import ServerBook
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.tables.stream_key_seal import SECRET_SIZE_BYTES
from stagebook.server.garbage_collection import tune_garbage_collection

PARTICIPANTS = 10_000
ROUNDS = 3
AWAITED = 2_000
PUBLISHER_ID = "publisher000"

Transactions = Sequence[Sequence[Change]]


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run: CPU microseconds for each event, of this process and of the server, and the times of awaited steps."""

    per_second: float
    client_us: float
    server_us: float
    step_ms: tuple[float, ...] = ()


def appends_table(folder: Path) -> Table:
    """Measure both stores in turns; return the table."""
    with measured_database() as database:
        return uvloop.run(_Measurement(folder, database).table())


class _Measurement:
    def __init__(self, folder: Path, database: MeasuredDatabase) -> None:
        self._folder = folder
        self._database = database
        self._books = 0

    async def table(self) -> Table:
        async with running_manager(self._folder / "recorded.sqlite3", record=True) as running:
            await _burst(running)
            transactions = running.transactions
        kinds: dict[str, tuple[Callable[[], Awaitable[_Run]], Callable[[], Awaitable[_Run]]]] = {
            f"burst of {PARTICIPANTS:,} joins through the manager": (
                partial(self._managed, lambda: running_manager(self._new_path())),
                partial(self._managed, lambda: _postgres_manager(self._database.new_url())),
            ),
            "the same transactions, book alone": (
                partial(self._replayed, self._sqlite, transactions),
                partial(self._replayed, self._postgres, transactions),
            ),
            f"{AWAITED:,} of them, each awaited": (
                partial(self._awaited, self._sqlite, transactions[:AWAITED]),
                partial(self._awaited, self._postgres, transactions[:AWAITED]),
            ),
        }
        rows: list[tuple[str, ...]] = []
        for what, of_stores in kinds.items():
            runs: tuple[list[_Run], list[_Run]] = ([], [])
            for _ in range(ROUNDS):
                for measured, measure in zip(runs, of_stores, strict=True):
                    measured.append(await measure())
            rows += _rows(what, *runs)
        headings = ("run", "book", "events/s", "CPU us/event", "of the server", "times SQLite", "p50 ms", "p99 ms")
        return Table(headings=headings, rows=tuple(rows))

    def _new_path(self) -> Path:
        self._books += 1
        return self._folder / f"beside-postgres-{self._books}.sqlite3"

    def _sqlite(self) -> ServerBook:
        return SqliteBook.open(self._new_path(), read_secret=lambda **_: bytes(SECRET_SIZE_BYTES))

    def _postgres(self) -> ServerBook:
        return open_postgres_book(self._database.new_url(), ACCOUNT_ID)

    async def _managed(self, run_manager: Callable[[], AbstractAsyncContextManager[RunningManager]]) -> _Run:
        async with run_manager() as running, self._measured(2 * PARTICIPANTS) as measured:
            await _burst(running)
        return measured[0]

    async def _replayed(self, open_book: Callable[[], ServerBook], transactions: Transactions) -> _Run:
        book = open_book()
        async with self._measured(count_events(transactions)) as measured:
            for changes in transactions:
                durable = book.submit(changes).durable
            await durable
        await book.close()
        return measured[0]

    async def _awaited(self, open_book: Callable[[], ServerBook], transactions: Transactions) -> _Run:
        book = open_book()
        step_ms = []
        async with self._measured(count_events(transactions)) as measured:
            for changes in transactions:
                start = time.perf_counter()
                await book.submit(changes).durable
                step_ms.append((time.perf_counter() - start) * 1_000)
        await book.close()
        return msgspec.structs.replace(measured[0], step_ms=tuple(step_ms))

    @asynccontextmanager
    async def _measured(self, events: int) -> AsyncIterator[list[_Run]]:
        tune_garbage_collection()  # like the server
        measured: list[_Run] = []
        client, server, start = cpu_seconds(os.getpid()), self._database.cpu_seconds(), time.perf_counter()
        yield measured
        seconds = time.perf_counter() - start
        measured.append(
            _Run(
                per_second=events / seconds,
                client_us=(cpu_seconds(os.getpid()) - client) / events * 1e6,
                server_us=(self._database.cpu_seconds() - server) / events * 1e6,
            )
        )


async def _burst(running: RunningManager) -> None:
    await running.publish(PUBLISHER_ID)
    claims = [running.claims(participant_id) for participant_id in participant_ids(PARTICIPANTS)]
    await asyncio.gather(*(running.subscribe(one, PUBLISHER_ID) for one in claims))
    await running.manager.settled()


@asynccontextmanager
async def _postgres_manager(url: str) -> AsyncIterator[RunningManager]:
    book = open_postgres_book(url, ACCOUNT_ID)
    pool = open_pool(url, show_deleted_history=True, seal=book.seal)
    memory = MemoryBook(book, keys=book.loaded_keys, reads=pool)
    try:
        await memory.load_account(ACCOUNT_ID)
        yield await started_manager(memory, account_id=ACCOUNT_ID)
    finally:
        await pool.close()
        await book.close()


def _rows(what: str, sqlite: list[_Run], postgres: list[_Run]) -> list[tuple[str, ...]]:
    pairs = zip(sqlite, postgres, strict=True)
    ratio = median([(own.client_us + own.server_us) / other.client_us for other, own in pairs])
    return [_row(what, "SQLite", sqlite, "1"), _row(what, "PostgreSQL", postgres, f"{ratio:.2f}")]


def _row(what: str, book: str, runs: list[_Run], ratio: str) -> tuple[str, ...]:
    middle = sorted(runs, key=lambda run: run.client_us)[len(runs) // 2]
    latency = [number(percentile(middle.step_ms, percent)) if middle.step_ms else "-" for percent in (50, 99)]
    server = "-" if book == "SQLite" else number(middle.server_us)
    return (what, book, number(middle.per_second), number(middle.client_us), server, ratio, *latency)
