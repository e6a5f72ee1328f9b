"""The books of the benchmark: sessions with a few busy participants among many participants with few events."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvloop

from stagebook.book.changes import AppendEvent, Change, EndSession, OpenSession, PutParticipant, PutStage
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Book
from stagebook.book.tables.stream_key_seal import SECRET_SIZE_BYTES
from stagebook.stage.events import Cause, Event, EventName
from stagebook.stage.resources import ParticipantRecord, Stage

REGION = "us-west-2"
ACCOUNT_ID = "123456789012"
START_MS = 1_700_000_000_000
_EVENT_INTERVAL_MS = 7
_SESSION_INTERVAL_MS = 3_600_000
_TRANSACTIONS_AHEAD = 4

_JOINED = Event(name=EventName.JOINED, cause=Cause.CLIENT)
_LEFT = Event(name=EventName.LEFT, cause=Cause.CLIENT)


class BookPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a book. The benchmark requests pages of the busy participants."""

    sessions: int
    busy_participants: int
    busy_events: int
    other_participants: int
    other_events: int

    @property
    def events(self) -> int:
        """The number of events in the book."""
        return self.sessions * (self.busy_participants * self.busy_events + self.other_participants * self.other_events)


LARGE = BookPlan(sessions=50, busy_participants=20, busy_events=500, other_participants=1_000, other_events=10)
SMALL = BookPlan(sessions=1, busy_participants=20, busy_events=500, other_participants=0, other_events=0)


class BusyParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of a participant with many events."""

    stage_arn: str
    session_id: str
    participant_id: str


def build_book(path: Path, plan: BookPlan) -> list[BusyParticipant]:
    """Write a new book with this plan at `path`; return its busy participants."""
    return uvloop.run(_build(path, plan))


def no_secret(*, may_generate: bool) -> bytes:  # noqa: ARG001 - the book has no stream keys
    """Return a secret for a book without stream keys."""
    return bytes(SECRET_SIZE_BYTES)


async def _build(path: Path, plan: BookPlan) -> list[BusyParticipant]:
    book = SqliteBook.open(path, read_secret=no_secret)
    busy = await write_book(book, plan)
    await book.close()
    return busy


async def write_book(book: Book, plan: BookPlan) -> list[BusyParticipant]:
    """Write what a plan says into an empty book; return its busy participants."""
    busy = []
    waiting: list[asyncio.Future[None]] = []
    for number in range(plan.sessions):
        stage_arn, session_id = f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:stage/{_id('S', number)}", f"st-{number:013d}"
        busy += [
            BusyParticipant(stage_arn=stage_arn, session_id=session_id, participant_id=_id("B", index))
            for index in range(plan.busy_participants)
        ]
        waiting.append(book.submit(list(_session(stage_arn, session_id, number, plan))).durable)
        if len(waiting) > _TRANSACTIONS_AHEAD:
            await waiting.pop(0)
    await asyncio.gather(*waiting)
    return busy


def _session(stage_arn: str, session_id: str, number: int, plan: BookPlan) -> Iterator[Change]:
    """Yield the changes of a session that has ended. The events of its participants are interleaved."""
    session = {"stage_arn": stage_arn, "session_id": session_id}
    at_ms = START_MS + number * _SESSION_INTERVAL_MS
    stage = Stage(arn=stage_arn, account_id=ACCOUNT_ID, name=f"stage-{number}", created_ms=at_ms)
    yield PutStage(stage=stage)
    yield OpenSession(start_ms=at_ms, **session)
    sizes = {_id("B", index): plan.busy_events for index in range(plan.busy_participants)}
    sizes |= {_id("V", index): plan.other_events for index in range(plan.other_participants)}
    for participant_id in sizes:
        record = ParticipantRecord(participant_id=participant_id, user_id=f"user-{participant_id}", first_join_ms=at_ms)
        yield PutParticipant(participant=record, **session)
    for turn in range(max(sizes.values())):
        for participant_id, size in sizes.items():
            if turn < size:
                event = _event(turn, size)
                yield AppendEvent(participant_id=participant_id, event=event, at_ms=at_ms, **session)
                at_ms += _EVENT_INTERVAL_MS
    yield EndSession(end_ms=at_ms, **session)


def _event(turn: int, size: int) -> Event:
    """Return event number `turn` of `size`: JOINED, subscriptions with a few publications, and LEFT at last."""
    if turn == 0:
        return _JOINED
    if turn == size - 1:
        return _LEFT
    started = turn % 2 == 1
    if turn % 10 >= 8:
        return Event(name=EventName.PUBLISH_STARTED if started else EventName.PUBLISH_STOPPED, cause=Cause.CLIENT)
    name = EventName.SUBSCRIBE_STARTED if started else EventName.SUBSCRIBE_STOPPED
    return Event(name=name, remote_participant_id=_id("B", (turn - 1) // 2), cause=Cause.CLIENT)


def _id(kind: str, number: int) -> str:
    return f"{kind}{number:011d}"
