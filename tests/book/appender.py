"""Appends to a book until it is killed, and prints every acknowledgement. Run as a program: `appender.py BOOK TAG`.

BOOK is the path of a SQLite book, or the URL of a database with one.

Eight participants at a time repeatedly join, publish, stop and leave. A connected participant has a resource and an
active replica; when it leaves, its connection token is revoked. All events of a transaction have the same detail,
`TAG-number/count`, so that an incomplete transaction can be detected. A line `detail sequence ...` is printed once the
transaction is durable.
"""

import asyncio
import itertools
import sys
import time
from pathlib import Path

from stagebook.book.changes import Change, DeleteResource, RevokeConnectionToken
from stagebook.book.postgres.postgres_book import NodeDescription, PostgresBook
from stagebook.book.store import Book
from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState, ReplicationState
from tests.book.sample import (
    ACCOUNT,
    ARN,
    NOON_MS,
    OTHER_ARN,
    OTHER_SESSION,
    append,
    open_book,
    open_session,
    put,
    put_replica,
    put_resource,
    put_stage,
    read_secret,
)

ARRIVAL = (EventName.JOINED, EventName.PUBLISH_STARTED)
DEPARTURE = (EventName.PUBLISH_STOPPED, EventName.SUBSCRIBE_STOPPED, EventName.LEFT)


def resource_changes(participant_id: str, state: ParticipantState) -> list[Change]:
    """Return the changes of a participant's transaction besides its row and its events."""
    if state is ParticipantState.CONNECTED:
        return [put_resource(participant_id), put_replica(participant_id)]
    return [
        DeleteResource(arn=participant_id),
        put_replica(participant_id, state=ReplicationState.STOPPED),
        RevokeConnectionToken(account_id=ACCOUNT, token_id=participant_id, at_ms=NOON_MS),
    ]


async def open_writable(place: str) -> Book:
    """Open the book, and take the account of the samples from the owner before, once its lease has passed."""
    if not place.startswith("postgresql:"):
        return open_book(Path(place))
    book = PostgresBook.open(place, node=NodeDescription(name="appender"), read_secret=read_secret, reads_row_keys=True)
    while True:
        if await book.acquire(ACCOUNT):
            return book
        await asyncio.sleep(0.05)


async def main(place: str, tag: str) -> None:
    """Append until killed."""
    book = await open_writable(place)
    if book.get_stage(ARN) is None:
        other = (put_stage(OTHER_ARN), open_session(OTHER_SESSION, arn=OTHER_ARN))
        await book.submit([put_stage(), open_session(), *other]).durable
    numbers = itertools.count()

    async def transact(participant_id: str, state: ParticipantState, names: tuple[EventName, ...]) -> None:
        detail = f"{tag}-{next(numbers)}/{len(names)}"
        now_ms = time.time_ns() // 1_000_000
        changes: list[Change] = [put(ParticipantRecord(participant_id=participant_id, state=state))]
        changes += [append(participant_id, Event(name=name, detail=detail), at_ms=now_ms) for name in names]
        changes += resource_changes(participant_id, state)
        submission = book.submit(changes)
        await submission.durable
        sys.stdout.write(f"{detail} {' '.join(map(str, submission.sequences))}\n")
        sys.stdout.flush()

    async def join_and_leave(index: int) -> None:
        for round_number in itertools.count():
            participant_id = f"{tag}-{index}-{round_number}"
            await transact(participant_id, ParticipantState.CONNECTED, ARRIVAL)
            await transact(participant_id, ParticipantState.DISCONNECTED, DEPARTURE)

    await asyncio.gather(*(join_and_leave(index) for index in range(8)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
