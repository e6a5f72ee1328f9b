"""A data folder with a book of two sessions, for tests of the commands that read it."""

import asyncio
from pathlib import Path

from stagebook.data_folder.secrets import DataFolder
from stagebook.stage.composition.composition_events import (
    CompositionCause,
    CompositionErrorCode,
    CompositionEvent,
    CompositionEventName,
)
from stagebook.stage.events import Cause, ErrorCode, Event, EventName
from stagebook.stage.resources import ParticipantRecord
from tests.book.sample import (
    NOON_MS,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    append_composition,
    commit,
    composition,
    end_session,
    open_book,
    open_session,
    put,
    put_composition,
    put_stage,
)

HOSTILE_USER = "\x1b]0;owned\x07[red]=1+1"
SECOND_MS = 1_000
LATE_MS = NOON_MS + 3_600_000
EVENTS = 10
COMPOSITION_EVENTS = 3


def write_book(folder: Path) -> Path:
    """Write the book into a data folder; return its path.

    In the ended session, `ann` publishes and `bob` watches her for four seconds. In the open session on the other stage
    a participant with a hostile user id has joined.
    """
    data = DataFolder(folder)
    data.prepare()
    asyncio.run(_write(data.book_path))
    return data.book_path


def write_composition(folder: Path) -> Path:
    """Write the book of `write_book`, with a composition of the first stage whose only destination failed."""
    path = write_book(folder)
    asyncio.run(_write_composition(path))
    return path


async def _write_composition(path: Path) -> None:
    book = open_book(path)
    await commit(
        book,
        put_composition(composition(end_ms=LATE_MS + 2 * SECOND_MS)),
        append_composition(at_ms=LATE_MS + SECOND_MS),
        append_composition(
            _failed(CompositionEventName.COMPOSITION_DESTINATION_FAILED, of="GHFabcgefABC"),
            at_ms=LATE_MS + 2 * SECOND_MS,
        ),
        append_composition(_failed(CompositionEventName.COMPOSITION_FAILED), at_ms=LATE_MS + 2 * SECOND_MS),
    )
    await book.close()


def _failed(name: CompositionEventName, *, of: str | None = None) -> CompositionEvent:
    return CompositionEvent(
        name=name,
        destination_id=of,
        error_code=CompositionErrorCode.ACCESS_DENIED_EXCEPTION,
        cause=CompositionCause.OUTPUT,
    )


async def _write(path: Path) -> None:
    book = open_book(path)
    await commit(book, put_stage(), put_stage(OTHER_ARN), open_session())
    await commit(book, *(put(ParticipantRecord(participant_id=f"p-{user}", user_id=user)) for user in ("ann", "bob")))
    error = Event(name=EventName.PUBLISH_ERROR, error_code=ErrorCode.BITRATE_EXCEEDED, detail="9 Mbit/s")
    for second, who, event in (
        (0, "p-ann", Event(name=EventName.JOINED, cause=Cause.CLIENT)),
        (1, "p-ann", Event(name=EventName.PUBLISH_STARTED, cause=Cause.CLIENT)),
        (2, "p-bob", Event(name=EventName.JOINED, cause=Cause.CLIENT)),
        (2, "p-bob", Event(name=EventName.SUBSCRIBE_STARTED, remote_participant_id="p-ann")),
        (5, "p-bob", error),
        (6, "p-bob", Event(name=EventName.SUBSCRIBE_STOPPED, remote_participant_id="p-ann", cause=Cause.CLIENT)),
        (6, "p-bob", Event(name=EventName.LEFT, cause=Cause.CLIENT)),
        (9, "p-ann", Event(name=EventName.PUBLISH_STOPPED, cause=Cause.PEER_LOST)),
        (9, "p-ann", Event(name=EventName.LEFT, cause=Cause.PEER_LOST)),
    ):
        await commit(book, append(who, event, at_ms=NOON_MS + second * SECOND_MS))
    await commit(book, end_session(SESSION, end_ms=NOON_MS + 10 * SECOND_MS))
    await commit(book, open_session(OTHER_SESSION, arn=OTHER_ARN, start_ms=LATE_MS))
    hostile = ParticipantRecord(participant_id="p-eve", user_id=HOSTILE_USER, attributes={"seat": "=2+2"})
    await commit(
        book,
        put(hostile, arn=OTHER_ARN, session_id=OTHER_SESSION),
        append("p-eve", EventName.JOINED, arn=OTHER_ARN, session_id=OTHER_SESSION, at_ms=LATE_MS),
    )
    await book.close()
