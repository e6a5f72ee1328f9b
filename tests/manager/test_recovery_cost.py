"""What recovery costs: reads in proportion to what is open and not to what has happened, and no wait per session."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from stagebook.book.changes import Change
from stagebook.book.sqlite import open_events
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Durable, Submission
from stagebook.manager import recovery
from stagebook.manager.session.order_dispatcher import OrderDispatcher
from stagebook.manager.session.transaction import SessionRules
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.events import Event, EventName
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import ParticipantRecord, ParticipantState
from tests.book.sample import ARN, SESSION, append, commit, open_book, open_session, put, put_stage
from tests.manager.manager_harness import LINGER_MS, SeededRandomness, SettableClock
from tests.manager.scripted_engine import ScriptedEngine


@pytest.fixture(autouse=True)
def each_event_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open can be read from a book that was not opened again."""
    monkeypatch.setattr(open_events, "MAXIMUM_UNNOTED_EVENTS", 1)


def unit_of_work(book: SqliteBook) -> UnitOfWork:
    return UnitOfWork(
        book=book,
        clock=SettableClock(),
        randomness=SeededRandomness(),
        rules=SessionRules(limits=RELAXED, linger_ms=LINGER_MS),
        dispatcher=OrderDispatcher(media=ScriptedEngine()),
    )


async def interrupted_book(path: Path, *, sessions: int, participants: int) -> SqliteBook:
    """Return a book with open sessions of one connected participant each, or of several."""
    book = open_book(path)
    for number in range(sessions):
        arn = f"{ARN}{number}"
        changes: list[Change] = [put_stage(arn), open_session(arn=arn)]
        for index in range(participants):
            record = ParticipantRecord(participant_id=f"p{index}", state=ParticipantState.CONNECTED)
            changes += [put(record, arn=arn), append(f"p{index}", arn=arn)]
            changes.append(append(f"p{index}", EventName.PUBLISH_STARTED, arn=arn))
        await commit(book, *changes)
    return book


@contextmanager
def counted_steps(book: SqliteBook) -> Iterator[list[int]]:
    """Yield the list of SQLite's virtual machine steps of each statement of the reading connection."""
    steps: list[int] = []

    def count(profile: dict[str, Any]) -> None:
        steps.append(profile["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

    book._reading.connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, count)
    try:
        yield steps
    finally:
        book._reading.connection.trace_v2(0, None)


async def steps_of_recovery(path: Path, *, participants: int, visits: int) -> int:
    """Return the steps that recovery takes if each participant has watched another one `visits` times before."""
    book = await interrupted_book(path, sessions=1, participants=participants)
    arn = f"{ARN}0"
    for index in range(participants):
        started, stopped = (
            append(f"p{index}", Event(name=name, remote_participant_id="p0"), arn=arn)
            for name in (EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED)
        )
        await commit(book, *[started, stopped] * visits)
    with counted_steps(book) as steps:
        assert await recovery.recover(unit_of_work(book)) == 1
    names = [event.event.name for event in book.list_events(arn, SESSION, "p0")][-2:]
    assert names == [EventName.PUBLISH_STOPPED, EventName.LEFT]
    await book.close()
    return sum(steps)


async def test_the_reads_do_not_grow_with_the_events_before(tmp_path: Path) -> None:
    short = await steps_of_recovery(tmp_path / "short", participants=20, visits=1)
    long = await steps_of_recovery(tmp_path / "long", participants=20, visits=50)
    assert long == short


async def test_the_reads_grow_with_the_participants_in_proportion(tmp_path: Path) -> None:
    few = await steps_of_recovery(tmp_path / "few", participants=20, visits=0)
    many = await steps_of_recovery(tmp_path / "many", participants=200, visits=0)
    assert many < 11 * few


@contextmanager
def counted_statements(book: SqliteBook) -> Iterator[list[str]]:
    """Yield the list of the statements that the reading connection executes."""
    statements: list[str] = []

    def trace(_cursor: object, statement: str, _bindings: object) -> bool:
        statements.append(statement)
        return True

    book._reading.connection.exec_trace = trace
    try:
        yield statements
    finally:
        book._reading.connection.exec_trace = None


@pytest.mark.parametrize("participants", [1, 200])
async def test_the_reads_do_not_grow_with_the_participants(tmp_path: Path, participants: int) -> None:
    book = await interrupted_book(tmp_path / "book", sessions=1, participants=participants)
    unit = unit_of_work(book)

    with counted_statements(book) as statements:
        assert await recovery.recover(unit) == 1

    assert len(statements) <= 8
    names = [event.event.name for event in book.list_events(f"{ARN}0", SESSION, f"p{participants - 1}")]
    assert names == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    await book.close()


async def test_the_reads_of_a_lingering_session_do_not_grow_with_the_participants(tmp_path: Path) -> None:
    book = open_book(tmp_path / "book")
    gone = [ParticipantRecord(participant_id=f"p{index}", state=ParticipantState.DISCONNECTED) for index in range(200)]
    await commit(book, put_stage(), open_session(), *(put(record) for record in gone))
    unit = unit_of_work(book)

    with counted_statements(book) as statements:
        assert await recovery.recover(unit) == 1

    assert len(statements) <= 8
    await book.close()


async def test_participants_are_read_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "PARTICIPANTS_PER_READ", 3)
    book = await interrupted_book(tmp_path / "book", sessions=1, participants=7)

    with counted_statements(book) as statements:
        await recovery.recover(unit_of_work(book))

    assert len([statement for statement in statements if "open_event" in statement]) == 3
    for index in range(7):
        assert len(book.list_events(f"{ARN}0", SESSION, f"p{index}")) == 4
    await book.close()


async def submissions_before_the_first_wait(book: SqliteBook, monkeypatch: pytest.MonkeyPatch) -> int:
    """Recover, and return how many transactions are submitted if none becomes durable."""
    submitted: list[tuple[Durable, Durable]] = []
    submit = book.submit

    def hold(changes: Sequence[Change]) -> Submission:
        submission = submit(changes)
        held = Durable(loop=asyncio.get_running_loop())
        submitted.append((submission.durable, held))
        return Submission(sequences=submission.sequences, durable=held)

    monkeypatch.setattr(book, "submit", hold)
    recovering = asyncio.create_task(recovery.recover(unit_of_work(book)))
    for _ in range(200):  # turns of the event loop: at most one for each session, and then it waits
        await asyncio.sleep(0)
    count = len(submitted)
    assert not recovering.done()
    monkeypatch.setattr(book, "submit", submit)
    for durable, held in submitted:
        await durable
        held.set_result(None)
    assert await recovering == 50
    assert book.list_open_sessions() == []
    return count


async def test_every_session_is_submitted_before_the_first_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = await interrupted_book(tmp_path / "book", sessions=50, participants=1)

    # The sessions, and an empty transaction that is durable after them.
    assert await submissions_before_the_first_wait(book, monkeypatch) == 51

    await book.close()


async def test_the_changes_that_wait_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "SUBMITTED_CHANGES", 20)  # five sessions of four changes
    book = await interrupted_book(tmp_path / "book", sessions=50, participants=1)

    assert await submissions_before_the_first_wait(book, monkeypatch) == 5

    await book.close()
