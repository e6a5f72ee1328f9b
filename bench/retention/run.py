"""The part `retention`: deletion by age beside appends, from a book whose sessions went on at the same time.

That is the worst case: the rows of a session are not beside each other in the index of sequence numbers, so most rows
of a step are on pages of their own there.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvloop

from bench.figures import percentile
from bench.page.books import ACCOUNT_ID, REGION, START_MS, no_secret
from bench.report import Part, Table, Target, number
from stagebook.book.changes import AppendEvent, Change, EndSession, OpenSession, PutParticipant, PutStage
from stagebook.book.retention_policy import DAY_MS, RetentionPolicy
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.manager.retention import PAUSE_SECONDS
from stagebook.stage.events import Cause, Event, EventName
from stagebook.stage.resources import ParticipantRecord, Stage

STAGES = 500
PARTICIPANTS = 10
EVENTS = 60
QUIET_SECONDS = 10.0
APPEND_INTERVAL_SECONDS = 0.002
TARGET_MS = 20.0

_POLICY = RetentionPolicy(default_days=30, participant_token_ms=0, connection_token_ms=0)
_END_MS = START_MS + DAY_MS
_LIVE = {"stage_arn": f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:stage/live", "session_id": "st-live"}
_EVENT = Event(name=EventName.SUBSCRIBE_STARTED, remote_participant_id="participant-0", cause=Cause.CLIENT)


class Deletion(msgspec.Struct, kw_only=True):
    """A run beside appends: milliseconds of each step and each append, and what was deleted."""

    steps_ms: list[float] = []
    appends_ms: list[float] = []
    rows: Counter[str] = msgspec.field(default_factory=Counter)
    seconds: float = 0.0


def measure_retention(folder: Path) -> Part:
    """Measure appends alone and beside a run, and the steps of the run; return the report."""
    path = folder / "retention.sqlite3"
    uvloop.run(_build(path))
    before = path.stat().st_size
    quiet_ms, run = uvloop.run(_measure(path))
    after = path.stat().st_size
    p99 = percentile(run.appends_ms, 99)
    return Part(
        title="Retention",
        method=(
            f"{STAGES} sessions went on at the same time, with {STAGES * PARTICIPANTS * EVENTS:,} events of "
            f"{STAGES * PARTICIPANTS:,} participants. All of it is deleted, with pauses of "
            f"{PAUSE_SECONDS * 1_000:.0f} ms between the steps, while one event is appended every "
            f"{APPEND_INTERVAL_SECONDS * 1_000:.0f} ms. The time of a step includes its wait until no event is queued; "
            "the time of an append ends when it is durable."
        ),
        tables=(
            Table(
                headings=("", "count", "median ms", "p99 ms", "max ms"),
                rows=(
                    _row("append, alone", quiet_ms),
                    _row("append, during the deletion", run.appends_ms),
                    _row("step of the deletion", run.steps_ms),
                ),
            ),
            Table(
                headings=("", "rows", "rows per second", "MB before", "MB after"),
                rows=(
                    (
                        "deletion",
                        number(run.rows.total()),
                        number(run.rows.total() / run.seconds),
                        number(before / 1e6),
                        number(after / 1e6),
                    ),
                ),
            ),
        ),
        targets=(Target(what="append during a deletion, p99", measured=p99, at_most=TARGET_MS, unit="ms"),),
    )


def _row(what: str, milliseconds: list[float]) -> tuple[str, ...]:
    figures = (percentile(milliseconds, 50), percentile(milliseconds, 99), max(milliseconds))
    return (what, number(len(milliseconds)), *map(number, figures))


async def _build(path: Path) -> None:
    """Write the book with the old sessions, and the live one."""
    book = SqliteBook.open(path, read_secret=no_secret)
    await _fill(book)
    await book.close()


async def _measure(path: Path) -> tuple[list[float], Deletion]:
    """Return the appends before the run, and the run."""
    book = SqliteBook.open(path, read_secret=no_secret)
    quiet_ms: list[float] = []
    appending = asyncio.create_task(_append(book, quiet_ms))
    await asyncio.sleep(QUIET_SECONDS)
    appending.cancel()
    run = await _delete(book)
    await book.close()
    return quiet_ms, run


async def _delete(book: SqliteBook) -> Deletion:
    run = Deletion()
    appending = asyncio.create_task(_append(book, run.appends_ms))
    began = started = time.perf_counter()
    async for step in book.delete_old(_POLICY, now_ms=_END_MS + 31 * DAY_MS):
        run.steps_ms.append((time.perf_counter() - started) * 1_000)
        run.rows.update(step.rows)
        await asyncio.sleep(PAUSE_SECONDS)
        started = time.perf_counter()
    run.seconds = time.perf_counter() - began
    appending.cancel()
    return run


async def _append(book: SqliteBook, milliseconds: list[float]) -> None:
    """Append an event again and again until cancelled; note how long each takes until it is durable."""
    event = AppendEvent(**_LIVE, participant_id="live", event=_EVENT, at_ms=_END_MS)
    while True:
        began = time.perf_counter()
        await book.submit([event]).durable
        milliseconds.append((time.perf_counter() - began) * 1_000)
        await asyncio.sleep(APPEND_INTERVAL_SECONDS)


async def _fill(book: SqliteBook) -> None:
    """Record the sessions, and one that goes on."""
    for where in (*_sessions(), _LIVE):
        stage = Stage(arn=where["stage_arn"], account_id=ACCOUNT_ID, name="stage", created_ms=START_MS)
        people: list[Change] = [
            PutParticipant(**where, participant=ParticipantRecord(participant_id=name)) for name in _names()
        ]
        book.submit([PutStage(stage=stage), OpenSession(**where, start_ms=START_MS), *people])
    book.submit([PutParticipant(**_LIVE, participant=ParticipantRecord(participant_id="live"))])
    for number_of_event in range(EVENTS):
        for name in _names():
            at_ms = START_MS + number_of_event * 1_000
            events = [AppendEvent(**where, participant_id=name, event=_EVENT, at_ms=at_ms) for where in _sessions()]
            await book.submit(events).durable
    await book.submit([EndSession(**where, end_ms=_END_MS) for where in _sessions()]).durable


def _sessions() -> Iterator[dict[str, str]]:
    for index in range(STAGES):
        yield {"stage_arn": f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:stage/S{index:011d}", "session_id": f"st-{index:013d}"}


def _names() -> Iterator[str]:
    for index in range(PARTICIPANTS):
        yield f"participant-{index}"
