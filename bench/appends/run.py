"""The part `appends`: events of one participant, one after another, and a burst of participants that join at once."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from bench.appends.running_manager import (
    RecordingBook,
    RunningManager,
    count_events,
    participant_ids,
    replay,
    running_manager,
)
from bench.figures import median, percentile
from bench.machine import cpu_seconds
from bench.report import Part, Table, Target, number
from stagebook.book.changes import Change
from stagebook.server.garbage_collection import tune_garbage_collection
from stagebook.stage.events import EventName

BURST_PARTICIPANTS = 25_000
BURST_ROUNDS = 3
SEQUENTIAL_EVENTS = 2_000
TARGET_EVENTS_PER_SECOND = 30_000
PUBLISHER_ID = "publisher000"

Transactions = Sequence[Sequence[Change]]


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run. `step_ms` are the times from each request to its durable event, if they were measured."""

    events: int
    seconds: float
    cpu_seconds: float
    step_ms: tuple[float, ...] = ()

    @property
    def per_second(self) -> float:
        """Durable events per second."""
        return self.events / self.seconds


def measure_appends(folder: Path) -> Part:
    """Measure both, alternately through the manager and on the book without a manager; return the report."""
    return uvloop.run(_measure(folder))


async def _measure(folder: Path) -> Part:
    sequential, sequential_transactions = await _sequential(folder / "sequential.sqlite3")
    book_sequential = await _book_alone(folder / "book-sequential.sqlite3", sequential_transactions, sequential=True)
    # The first burst warms up, and records the transactions of the manager for the runs on the book alone.
    _, transactions = await _burst(folder / "burst.sqlite3", record=True)
    bursts, book_bursts = [], []
    for round_number in range(BURST_ROUNDS):
        bursts.append((await _burst(folder / f"burst-{round_number}.sqlite3", record=False))[0])
        book_bursts.append(
            await _book_alone(folder / f"book-burst-{round_number}.sqlite3", transactions, sequential=False)
        )
    return _report(sequential, book_sequential, _median_run(bursts), _median_run(book_bursts))


def _report(sequential: Appended, book_sequential: Appended, burst: Appended, book_burst: Appended) -> Part:
    rows = (
        _row("one participant, each event awaited", sequential),
        _row("the same transactions, book alone", book_sequential),
        _row(f"burst of {BURST_PARTICIPANTS:,} joins", burst),
        _row("the same transactions, book alone", book_burst),
    )
    headings = ("run", "events", "events/s", "CPU us/event", "p50 ms", "p99 ms")
    return Part(
        title="Appends through the stage manager",
        method=(
            "An event counts when it is durable (SQLite, WAL, synchronous FULL). The engine is scripted, and tokens "
            "are not verified. Sequential: one participant subscribes to a publisher repeatedly; SUBSCRIBE_STARTED "
            "and SUBSCRIBE_STOPPED are each awaited before the next step; p50 and p99 are from the request to "
            f"durability. Burst: {BURST_PARTICIPANTS:,} participants subscribe to one publisher at once and connect "
            "when they have the SDP answer, with a JOINED and a SUBSCRIBE_STARTED each; the figures are the median of "
            f"{BURST_ROUNDS} bursts, from the first offer to the durability of the last event. CPU is that of the "
            "whole process with the writer thread of the book. Book alone: a new book without a manager commits the "
            "recorded transactions."
        ),
        tables=(Table(headings=headings, rows=rows),),
        targets=(
            Target(
                what="burst of joins", measured=burst.per_second, at_least=TARGET_EVENTS_PER_SECOND, unit="events/s"
            ),
        ),
    )


async def _sequential(path: Path) -> tuple[Appended, Transactions]:
    async with running_manager(path, record=True) as running:
        await running.publish(PUBLISHER_ID)
        claims = running.claims("watcher00000")
        await running.subscribe(claims, PUBLISHER_ID)  # stays open, so that the participant does not leave
        await running.manager.settled()
        before = count_events(running.transactions)
        step_ms: list[float] = []
        async with _timed(step_ms) as took:
            while len(step_ms) < SEQUENTIAL_EVENTS:
                start = time.perf_counter()
                connection_id = await running.subscribe(claims, PUBLISHER_ID)
                await running.manager.settled()
                middle = time.perf_counter()
                await running.manager.participants.close(claims, connection_id=connection_id)
                step_ms += [(middle - start) * 1_000, (time.perf_counter() - middle) * 1_000]
        assert count_events(running.transactions) - before == SEQUENTIAL_EVENTS
        return took[0], running.transactions


async def _burst(path: Path, *, record: bool) -> tuple[Appended, Transactions]:
    async with running_manager(path, record=record) as running:
        await running.publish(PUBLISHER_ID)
        ids = participant_ids(BURST_PARTICIPANTS)
        claims = [running.claims(participant_id) for participant_id in ids]
        async with _timed(range(2 * BURST_PARTICIPANTS)) as took:
            await asyncio.gather(*(running.subscribe(one, PUBLISHER_ID) for one in claims))
            await running.manager.settled()
        _check_burst(running, ids)
        return msgspec.structs.replace(took[0], step_ms=()), running.transactions


def _check_burst(running: RunningManager, ids: Sequence[str]) -> None:
    """Check that each participant has exactly its two events."""
    assert isinstance(running.book, RecordingBook)
    session_id = running.book.list_sessions(running.stage.arn, after=None, limit=1).items[0].session_id
    for participant_id in ids:
        recorded = running.book.list_events(running.stage.arn, session_id, participant_id)
        assert [entry.event.name for entry in recorded] == [EventName.JOINED, EventName.SUBSCRIBE_STARTED]


async def _book_alone(path: Path, transactions: Transactions, *, sequential: bool) -> Appended:
    events = count_events(transactions)
    async with _timed(range(events)) as took:
        book = await replay(path, transactions, sequential=sequential)
    await book.close()
    return msgspec.structs.replace(took[0], step_ms=())


@asynccontextmanager
async def _timed(steps: Sequence[float]) -> AsyncIterator[list[Appended]]:
    """Measure the block. The yielded list holds one Appended afterwards, with one event for each of `steps`."""
    tune_garbage_collection()  # like the server
    took: list[Appended] = []
    cpu, start = cpu_seconds(os.getpid()), time.perf_counter()
    yield took
    seconds, used = time.perf_counter() - start, cpu_seconds(os.getpid()) - cpu
    took.append(Appended(events=len(steps), seconds=seconds, cpu_seconds=used, step_ms=tuple(steps)))


def _median_run(runs: Sequence[Appended]) -> Appended:
    middle = median([run.seconds for run in runs])
    return min(runs, key=lambda run: abs(run.seconds - middle))


def _row(what: str, run: Appended) -> tuple[str, ...]:
    latency = [number(percentile(run.step_ms, percent)) if run.step_ms else "-" for percent in (50, 99)]
    return (what, number(run.events), number(run.per_second), number(run.cpu_seconds / run.events * 1e6), *latency)
