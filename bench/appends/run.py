"""Measures appends: events of one participant one after the other, and a storm of participants who all come at once."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from bench.appends.house import House, count_events, participant_ids, replay, running_house
from bench.figures import median, percentile
from bench.machine import cpu_seconds
from bench.report import Aim, Part, Table, number
from stagebook.book.changes import Change
from stagebook.server.garbage_collection import tune_garbage_collection
from stagebook.stage.events import EventName

STORM_PARTICIPANTS = 25_000
STORM_ROUNDS = 3
ALONE_EVENTS = 2_000
AIM_EVENTS_PER_SECOND = 30_000
PUBLISHER_ID = "publisher000"

Transactions = Sequence[Sequence[Change]]


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """What one run took, and the time from asking to durable of its single steps where they were measured."""

    events: int
    seconds: float
    cpu_seconds: float
    step_ms: tuple[float, ...] = ()

    @property
    def per_second(self) -> float:
        """Durable events per second."""
        return self.events / self.seconds


def measure_appends(folder: Path) -> Part:
    """Run both, each through the manager and on the bare book in turns, and return the report."""
    return uvloop.run(_measure(folder))


async def _measure(folder: Path) -> Part:
    alone, alone_transactions = await _alone(folder / "alone.sqlite3")
    bare_alone = await _bare(folder / "bare-alone.sqlite3", alone_transactions, alone=True)
    # The first storm warms up, and records what the manager submits so that the bare book can be given the same.
    _, transactions = await _storm(folder / "storm.sqlite3", record=True)
    storms, bare_storms = [], []
    for round_number in range(STORM_ROUNDS):
        storms.append((await _storm(folder / f"storm-{round_number}.sqlite3", record=False))[0])
        bare_storms.append(await _bare(folder / f"bare-{round_number}.sqlite3", transactions, alone=False))
    storm, bare_storm = _median_run(storms), _median_run(bare_storms)
    rows = (
        _row("one participant, each event awaited", alone),
        _row("the same transactions on the bare book", bare_alone),
        _row(f"storm of {STORM_PARTICIPANTS:,} joins", storm),
        _row("the same transactions on the bare book", bare_storm),
    )
    headings = ("what", "events", "events/s", "CPU us/event", "p50 ms", "p99 ms")
    return Part(
        title="Appends through the stage manager",
        method=(
            "Every event is durable (SQLite, WAL, synchronous FULL) before it counts; the engine is scripted, tokens "
            "are already read. Alone: one participant watches a publisher again and again, SUBSCRIBE_STARTED and "
            "SUBSCRIBE_STOPPED each awaited before the next step; p50 and p99 are from asking to durable. Storm: "
            f"{STORM_PARTICIPANTS:,} participants subscribe to one publisher at once and connect when they are "
            "answered: JOINED and SUBSCRIBE_STARTED each, the median of "
            f"{STORM_ROUNDS} storms, from the first offer to the last event durable. CPU is the whole process's, the "
            "book's writer thread included. The bare book is given the very transactions that the manager made."
        ),
        tables=(Table(headings=headings, rows=rows),),
        aims=(Aim(what="storm of joins", measured=storm.per_second, at_least=AIM_EVENTS_PER_SECOND, unit="events/s"),),
    )


async def _alone(path: Path) -> tuple[Appended, Transactions]:
    async with running_house(path, record=True) as house:
        await house.publish(PUBLISHER_ID)
        claims = house.claims("watcher00000")
        await house.watch(claims, PUBLISHER_ID)  # stays, so that the participant does not leave in between
        await house.manager.settled()
        before = count_events(house.transactions)
        step_ms: list[float] = []
        async with _timed(step_ms) as took:
            while len(step_ms) < ALONE_EVENTS:
                start = time.perf_counter()
                connection_id = await house.watch(claims, PUBLISHER_ID)
                await house.manager.settled()
                middle = time.perf_counter()
                await house.manager.close(claims, connection_id=connection_id)
                step_ms += [(middle - start) * 1_000, (time.perf_counter() - middle) * 1_000]
        assert count_events(house.transactions) - before == ALONE_EVENTS
        return took[0], house.transactions


async def _storm(path: Path, *, record: bool) -> tuple[Appended, Transactions]:
    async with running_house(path, record=record) as house:
        await house.publish(PUBLISHER_ID)
        ids = participant_ids(STORM_PARTICIPANTS)
        claims = [house.claims(participant_id) for participant_id in ids]
        async with _timed(range(2 * STORM_PARTICIPANTS)) as took:
            await asyncio.gather(*(house.watch(one, PUBLISHER_ID) for one in claims))
            await house.manager.settled()
        _check_storm(house, ids)
        return msgspec.structs.replace(took[0], step_ms=()), house.transactions


def _check_storm(house: House, ids: Sequence[str]) -> None:
    """Read everything back: each participant must have its two events, and nobody else's."""
    session_id = house.book.list_sessions(house.stage.arn, after=None, limit=1).items[0].session_id
    for participant_id in ids:
        recorded = house.book.list_events(house.stage.arn, session_id, participant_id)
        assert [entry.event.name for entry in recorded] == [EventName.JOINED, EventName.SUBSCRIBE_STARTED]


async def _bare(path: Path, transactions: Transactions, *, alone: bool) -> Appended:
    events = count_events(transactions)
    async with _timed(range(events)) as took:
        book = await replay(path, transactions, alone=alone)
    await book.close()
    return msgspec.structs.replace(took[0], step_ms=())


@asynccontextmanager
async def _timed(steps: Sequence[float]) -> AsyncIterator[list[Appended]]:
    """Time the block; afterwards the list that is given holds one Appended with one event for each of `steps`."""
    tune_garbage_collection()  # as the server does
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
