"""Pages of events from the book in PostgreSQL beside those of SQLite: the awaitable reads, without HTTP."""

import asyncio
import os
import random
import time
from pathlib import Path

import msgspec
import uvloop

from bench.figures import median
from bench.machine import cpu_seconds
from bench.page.books import ACCOUNT_ID, BookPlan, BusyParticipant, build_book, write_book
from bench.postgres.measured_database import MeasuredDatabase, measured_database, open_postgres_book
from bench.report import Table, number
from stagebook.book.book_pages import BookPages
from stagebook.book.postgres.postgres_readers import open_pages
from stagebook.book.sqlite.open_readers import open_reader as open_sqlite_reader
from stagebook.book.sqlite.sqlite_pages import SqlitePages

PLAN = BookPlan(sessions=10, busy_participants=20, busy_events=500, other_participants=1_000, other_events=10)
ROUNDS = 5
PAGES = 3_000
PAGE_EVENTS = 50
ASKERS = (1, 16)


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    per_second: float
    client_us: float
    server_us: float


def pages_table(folder: Path) -> Table:
    """Measure both stores in turns; return the table."""
    busy = build_book(folder / "beside-postgres.sqlite3", PLAN)
    with measured_database() as database:
        return uvloop.run(_measure(folder / "beside-postgres.sqlite3", busy, database))


async def _measure(path: Path, busy: list[BusyParticipant], database: MeasuredDatabase) -> Table:
    url = database.new_url()
    book = open_postgres_book(url, ACCOUNT_ID)
    await write_book(book, PLAN)
    await book.close()
    reader = open_sqlite_reader(path)
    pooled = open_pages(url)
    stores: dict[str, BookPages] = {"SQLite": SqlitePages(reader), "PostgreSQL": pooled}
    runs: dict[tuple[str, int], list[_Run]] = {(name, askers): [] for askers in ASKERS for name in stores}
    for number_of_round in range(ROUNDS + 1):
        for (name, askers), measured in runs.items():
            run = await _read_pages(stores[name], busy, askers, database)
            if number_of_round:  # The first round warms up.
                measured.append(run)
    await pooled.close()
    reader.close_reading()
    rows = []
    for (name, askers), measured in runs.items():
        pairs = zip(measured, runs["SQLite", askers], strict=True)
        ratio = median([(own.client_us + own.server_us) / other.client_us for own, other in pairs])
        rows.append(
            (
                f"{name}, {askers} at a time",
                number(median([each.per_second for each in measured])),
                number(median([each.client_us for each in measured])),
                "-" if name == "SQLite" else number(median([each.server_us for each in measured])),
                f"{ratio:.2f}",
            )
        )
    headings = (f"pages of {PAGE_EVENTS} of {PLAN.events:,} events, without HTTP", "pages/s", "CPU us/page")
    return Table(headings=(*headings, "of the server", "times SQLite"), rows=tuple(rows))


async def _read_pages(pages: BookPages, busy: list[BusyParticipant], askers: int, database: MeasuredDatabase) -> _Run:
    choice = random.Random(1)
    asked = iter([choice.choice(busy) for _ in range(PAGES)])

    async def ask() -> None:
        for one in asked:
            rows = await pages.page_events(
                one.stage_arn, one.session_id, one.participant_id, after=None, limit=PAGE_EVENTS
            )
            assert len(rows) == PAGE_EVENTS

    client, server, start = cpu_seconds(os.getpid()), database.cpu_seconds(), time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(askers)))
    seconds = time.perf_counter() - start
    return _Run(
        per_second=PAGES / seconds,
        client_us=(cpu_seconds(os.getpid()) - client) / PAGES * 1e6,
        server_us=(database.cpu_seconds() - server) / PAGES * 1e6,
    )
