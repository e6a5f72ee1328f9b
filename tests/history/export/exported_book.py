"""Books with a given number of events, for tests of exports."""

from pathlib import Path

from stagebook.book.changes import Change
from stagebook.stage.events import ErrorCode, Event, EventName
from stagebook.stage.resources import ParticipantRecord
from tests.book.golden_values import EXCHANGE, REPLICATION
from tests.book.sample import NOON_MS, append, commit, open_book, open_session, put, put_stage

PER_TRANSACTION = 1_000


async def write_events(path: Path, count: int) -> None:
    """Write a book with one session and this many events of all kinds, one in each millisecond."""
    book = open_book(path)
    record = ParticipantRecord(participant_id="p", user_id="ann")
    await commit(book, put_stage(), open_session(), put(record))
    error = Event(name=EventName.PUBLISH_ERROR, error_code=ErrorCode.INVALID_INPUT, detail='9 Mbit/s, "much"\nmore')
    kinds = [Event(name=EventName.JOINED), error, REPLICATION, EXCHANGE, Event(name=EventName.LEFT)]
    for first in range(0, count, PER_TRANSACTION):
        numbers = range(first, min(count, first + PER_TRANSACTION))
        changes: list[Change] = [append("p", kinds[number % len(kinds)], at_ms=NOON_MS + number) for number in numbers]
        await commit(book, *changes)
    await book.close()
