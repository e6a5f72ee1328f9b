"""A book with one ended session of many participants, who publish, watch each other and fail."""

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.page.books import ACCOUNT_ID, REGION, START_MS, no_secret
from stagebook.book.changes import AppendEvent, Change, EndSession, OpenSession, PutParticipant, PutStage
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.stage.events import Cause, ErrorCode, Event, EventName
from stagebook.stage.resources import ParticipantRecord, Stage

SESSION = {"stage_arn": f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:stage/S00000000000", "session_id": "st-0000000000000"}
_DURATION_MS = 3_600_000
_EVENTS_PER_TRANSACTION = 2_000
_OTHER_EVENTS = 6
"""JOINED, PUBLISH_STARTED, PUBLISH_ERROR, PUBLISH_STOPPED, LEFT, and one left over for an even number of visits."""


class _Moment(msgspec.Struct, frozen=True, order=True):
    """An event and its time."""

    at_ms: int
    order: int
    number: int
    name: EventName
    remote: int | None = None


async def build_session(path: Path, *, participants: int, events: int) -> int:
    """Write the book; return how many events it has, which is about `events`. The same arguments give the same book."""
    book = SqliteBook.open(path, read_secret=no_secret)
    stage = Stage(arn=SESSION["stage_arn"], account_id=ACCOUNT_ID, name="large", created_ms=START_MS)
    await book.submit([PutStage(stage=stage), OpenSession(start_ms=START_MS, **SESSION)]).durable
    records = [
        PutParticipant(participant=ParticipantRecord(participant_id=_id(number), user_id=f"user-{number}"), **SESSION)
        for number in range(participants)
    ]
    await book.submit(records).durable
    moments = sorted(_moments(participants, visits=(events // participants - _OTHER_EVENTS) // 2))
    for first in range(0, len(moments), _EVENTS_PER_TRANSACTION):
        changes: list[Change] = [_change(moment) for moment in moments[first : first + _EVENTS_PER_TRANSACTION]]
        await book.submit(changes).durable
    await book.submit([EndSession(end_ms=START_MS + 2 * _DURATION_MS, **SESSION)]).durable
    await book.close()
    return len(moments)


def _moments(participants: int, *, visits: int) -> Iterator[_Moment]:
    chance = random.Random(1)
    for number in range(participants):
        joined_ms = START_MS + chance.randrange(_DURATION_MS // 2)
        left_ms = joined_ms + chance.randrange(_DURATION_MS // 4, _DURATION_MS // 2)
        yield _Moment(joined_ms, 0, number, EventName.JOINED)
        yield _Moment(left_ms, 9, number, EventName.LEFT)
        if number % 5 == 0:
            yield _Moment(joined_ms + 1, 1, number, EventName.PUBLISH_STARTED)
            yield _Moment(left_ms, 8, number, EventName.PUBLISH_STOPPED)
        if number % 7 == 0:
            yield _Moment(chance.randrange(joined_ms, left_ms), 2, number, EventName.PUBLISH_ERROR)
        for _ in range(visits):
            started_ms, stopped_ms = sorted(chance.randrange(joined_ms, left_ms) for _ in range(2))
            remote = chance.randrange(participants)
            yield _Moment(started_ms, 3, number, EventName.SUBSCRIBE_STARTED, remote)
            yield _Moment(min(stopped_ms, started_ms + 60_000), 4, number, EventName.SUBSCRIBE_STOPPED, remote)


def _change(moment: _Moment) -> AppendEvent:
    event = Event(
        name=moment.name,
        remote_participant_id=None if moment.remote is None else _id(moment.remote),
        error_code=ErrorCode.BITRATE_EXCEEDED if moment.name is EventName.PUBLISH_ERROR else None,
        cause=Cause.LIMIT if moment.name is EventName.PUBLISH_ERROR else Cause.CLIENT,
    )
    return AppendEvent(participant_id=_id(moment.number), event=event, at_ms=moment.at_ms, **SESSION)


def _id(number: int) -> str:
    return f"V{number:011d}"
