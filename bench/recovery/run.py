"""The part `recovery`: starts of a server whose last run was interrupted with PARTICIPANTS on stage."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvloop

from bench.figures import median
from bench.machine import cpu_seconds
from bench.page.books import ACCOUNT_ID, REGION, START_MS, no_secret
from bench.report import Part, Table, Target, number
from stagebook.book.changes import AppendEvent, Change, OpenSession, PutParticipant, PutStage
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.data_folder.secrets import DataFolder
from stagebook.stage.events import Cause, Event, EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState, Stage
from tests.e2e.server import start_server

PARTICIPANTS = 50_000
VISITS = {"short": 0, "long": 9}
"""The ended subscriptions of each participant, of two events each, beside the open one."""
ROUNDS = 5
TARGET_SECONDS = 3.0

_SESSION = {"stage_arn": f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:stage/S00000000000", "session_id": "st-0000000000000"}
_PUBLISHER_ID = "P00000000000"
_PARTICIPANTS_PER_TRANSACTION = 500
_JOINED = Event(name=EventName.JOINED, cause=Cause.CLIENT)
_STARTED, _STOPPED = (
    Event(name=name, remote_participant_id=_PUBLISHER_ID, cause=Cause.CLIENT)
    for name in (EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED)
)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """One start: the time from the start of the process to the first response of `/health`, and its CPU time."""

    seconds: float
    cpu_seconds: float


def measure_recovery(folder: Path) -> Part:
    """Measure starts after short and after long histories; return the report."""
    rows, slowest = [], 0.0
    empty = [_start(folder / f"empty-{turn}") for turn in range(ROUNDS)]
    rows.append(_row("an empty book", 0, empty))
    for length, visits in VISITS.items():
        book = folder / f"{length}.sqlite3"
        events = uvloop.run(_build(book, visits=visits))
        starts = [_recover(folder / f"{length}-{turn}", book) for turn in range(ROUNDS)]
        rows.append(_row(f"{PARTICIPANTS:,} on stage, {length} histories", events, starts))
        slowest = max(slowest, median([start.seconds for start in starts]))
    return Part(
        title="The start after a crash",
        method=(
            f"The book has a session of {PARTICIPANTS:,} participants who were watching when the server was killed, "
            f"each with {2 + 2 * VISITS['short']} or {2 + 2 * VISITS['long']} events. Each start gets a fresh copy. "
            "The time is from the start of `stagebook serve` to its first response of `/health`; by then the LEFT of "
            f"everybody is durable. CPU is that of the server process. Figures are medians of {ROUNDS} starts."
        ),
        tables=(Table(headings=("book", "events", "s to the first response", "worst s", "CPU s"), rows=tuple(rows)),),
        targets=(Target(what="start after a crash", measured=slowest, at_most=TARGET_SECONDS, unit="s"),),
    )


def _row(what: str, events: int, starts: list[Start]) -> tuple[str, ...]:
    seconds = [start.seconds for start in starts]
    cpu = median([start.cpu_seconds for start in starts])
    return (what, number(events), number(median(seconds)), number(max(seconds)), number(cpu))


def _recover(data: Path, book: Path) -> Start:
    """Start a server on a copy of an interrupted book, and check that it has closed the session."""
    folder = DataFolder(data)
    folder.prepare()
    shutil.copy(book, folder.book_path)
    start = _start(data)
    uvloop.run(_check(folder.book_path))
    shutil.rmtree(data)
    return start


def _start(data: Path) -> Start:
    began = time.perf_counter()
    server = start_server(data, media_processes="1")
    start = Start(seconds=time.perf_counter() - began, cpu_seconds=cpu_seconds(server.process.pid))
    server.stop()
    return start


async def _check(path: Path) -> None:
    book = SqliteBook.open(path, read_secret=no_secret)
    assert book.list_open_sessions() == []
    last = book.list_events(_SESSION["stage_arn"], _SESSION["session_id"], _id(PARTICIPANTS - 1))[-1]
    assert (last.event.name, last.event.cause) == (EventName.LEFT, Cause.CRASH_RECOVERY)
    await book.close()


async def _build(path: Path, *, visits: int) -> int:
    """Write a book with one open session; return how many events it has."""
    book = SqliteBook.open(path, read_secret=no_secret)
    stage = Stage(arn=_SESSION["stage_arn"], account_id=ACCOUNT_ID, name="stage", created_ms=START_MS)
    await book.submit([PutStage(stage=stage), OpenSession(start_ms=START_MS, **_SESSION)]).durable
    for first in range(0, PARTICIPANTS, _PARTICIPANTS_PER_TRANSACTION):
        changes: list[Change] = []
        for index in range(first, first + _PARTICIPANTS_PER_TRANSACTION):
            changes += _participant(_id(index), visits=visits)
        await book.submit(changes).durable
    await book.close()
    return PARTICIPANTS * (2 + 2 * visits)


def _participant(participant_id: str, *, visits: int) -> Iterator[Change]:
    record = ParticipantRecord(
        participant_id=participant_id,
        user_id=f"user-{participant_id}",
        state=ParticipantState.CONNECTED,
        first_join_ms=START_MS,
    )
    yield PutParticipant(participant=record, **_SESSION)
    for event in (_JOINED, *(_STARTED, _STOPPED) * visits, _STARTED):
        yield AppendEvent(participant_id=participant_id, event=event, at_ms=START_MS, **_SESSION)


def _id(number: int) -> str:
    return f"V{number:011d}"
