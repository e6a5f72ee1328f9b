"""The writer thread: groups, stopping, and a failing store."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from stagebook.book.sqlite.book_connection import open_for_reading, open_for_writing
from stagebook.book.sqlite.open_events import MAXIMUM_UNNOTED_EVENTS
from stagebook.book.sqlite.writer import (
    MAXIMUM_GROUP_TRANSACTIONS,
    MAXIMUM_OBSERVED_SUBMITTERS,
    BookWriter,
    TransactionGroup,
)
from stagebook.book.store import BookFailedError
from stagebook.book.tables.change_rows import EVENTS, STAGES
from stagebook.book.tables.queries import LAST_SEQUENCE
from tests.book.sample import SEAL


def wal_pages(connection: apsw.Connection) -> int:
    """Return how many pages the write-ahead log has (sqlite.org/pragma.html, wal_checkpoint)."""
    rows: list[Any] = connection.execute("PRAGMA wal_checkpoint(NOOP)").fetchall()
    pages: int = rows[0][1]
    return pages


class WriterFixture:
    """A writer on a new book, counters of its commits, and a second connection that can block it."""

    def __init__(self, path: Path) -> None:
        self.connection = open_for_writing(path, seal=SEAL)
        self.other = apsw.Connection(str(path))
        self.reader = open_for_reading(path)
        self.commits = 0
        self.durable = 0
        self.connection.set_commit_hook(self._count_commit)
        self.clock_seconds = 1_000.0
        self.writer = BookWriter(
            self.connection,
            loop=asyncio.get_running_loop(),
            on_durable=self._count_durable,
            clock=lambda: self.clock_seconds,
        )
        self._last_key = 0

    def _count_commit(self) -> bool:
        self.commits += 1
        return False

    def _count_durable(self, count: int) -> None:
        self.durable += count

    def put(self, *, name: str = "null") -> asyncio.Future[None]:
        """Queue a transaction that puts one stage. `name` is the JSON of the stage's name."""
        self._last_key += 1
        row = f'[{self._last_key},"arn{self._last_key}","account",{name},0,"{{}}","{{}}"]'
        return self.writer.put([(STAGES, row)], self._last_key)

    def put_event(self, *, sequence: int) -> asyncio.Future[None]:
        """Queue a transaction that appends one JOINED, of a participant for each number."""
        row = f"[1,{sequence},{sequence},0,null,null,0,null,null,null]"
        return self.writer.put([(EVENTS, row)], sequence, sequence)

    def noted(self) -> tuple[int, int]:
        """Return how many open events are noted, and the newest sequence number that is."""
        statement = "SELECT (SELECT count(*) FROM open_event), noted_sequence FROM sequencer"
        rows: list[Any] = self.reader.execute(statement).fetchall()
        return rows[0][0], rows[0][1]

    def wait_until_taken(self) -> None:
        """Wait until the writer thread has taken the group that is being filled."""
        while self.writer._filling is not None:
            time.sleep(0.001)

    def count(self) -> int:
        """Return the number of stages that another connection sees."""
        rows: list[Any] = self.reader.execute("SELECT count(*) FROM stage").fetchall()
        counted: int = rows[0][0]
        return counted


@pytest.fixture
async def fixture(tmp_path: Path) -> AsyncIterator[WriterFixture]:
    fixture = WriterFixture(tmp_path / "book")
    yield fixture
    fixture.other.close()
    await fixture.writer.stop()
    fixture.reader.close()
    fixture.connection.close()


async def test_a_transaction_is_acknowledged_only_after_its_commit(fixture: WriterFixture) -> None:
    fixture.other.execute("BEGIN IMMEDIATE")  # blocks the writer
    durable = fixture.put(name='"one"')
    done, _ = await asyncio.wait([durable], timeout=0.05)
    assert not done
    assert fixture.count() == 0
    fixture.other.execute("COMMIT")
    await durable
    assert fixture.count() == 1


async def test_queued_transactions_are_committed_together(fixture: WriterFixture) -> None:
    fixture.other.execute("BEGIN IMMEDIATE")
    first = fixture.put(name='"held back"')
    waiting = [fixture.put(name='"behind"') for _ in range(100)]
    fixture.other.execute("COMMIT")
    await asyncio.gather(first, *waiting)
    assert fixture.count() == 101
    assert fixture.commits <= 2
    assert fixture.durable == 101


async def test_the_transactions_of_a_group_share_a_future_and_later_ones_have_another(
    fixture: WriterFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_taken, go_on = threading.Event(), threading.Event()
    commit = fixture.writer._commit

    def held_commit(group: TransactionGroup) -> None:
        is_taken.set()
        go_on.wait()
        commit(group)

    monkeypatch.setattr(fixture.writer, "_commit", held_commit)
    taken = fixture.put(name='"taken"')
    await asyncio.to_thread(is_taken.wait)
    first, second = fixture.put(name='"first"'), fixture.put(name='"second"')
    assert first is second
    assert first is not taken
    go_on.set()
    await first
    assert taken.done()
    assert fixture.count() == 3


async def test_the_size_of_a_group_is_bounded(fixture: WriterFixture) -> None:
    fixture.other.execute("BEGIN IMMEDIATE")
    waiting = [fixture.put(name='"one"') for _ in range(3 * MAXIMUM_GROUP_TRANSACTIONS)]
    fixture.other.execute("COMMIT")
    await asyncio.gather(*waiting)
    assert fixture.commits >= 3
    assert fixture.durable == 3 * MAXIMUM_GROUP_TRANSACTIONS


async def test_the_sequencer_is_stored_with_the_group(fixture: WriterFixture) -> None:
    fixture.put(name='"one"')
    await fixture.put(name='"two"')
    assert fixture.reader.execute("SELECT last_sequence FROM sequencer").fetchall() == [(2,)]


async def test_the_number_of_an_event_is_not_stored_twice(fixture: WriterFixture) -> None:
    """Its row has it. To write it to the sequencer as well would cost a page of the log for each event."""
    await fixture.put_event(sequence=7)
    assert fixture.reader.execute("SELECT last_sequence FROM sequencer").fetchall() == [(0,)]
    assert fixture.reader.execute(LAST_SEQUENCE).fetchall() == [(7,)]


async def test_an_event_changes_the_page_of_its_row_and_that_of_the_log_index(fixture: WriterFixture) -> None:
    await fixture.put_event(sequence=1)
    before = wal_pages(fixture.connection)
    await fixture.put_event(sequence=2)
    assert wal_pages(fixture.connection) - before == 2


async def test_what_is_open_is_noted_for_many_events_at_once(fixture: WriterFixture) -> None:
    for sequence in range(1, MAXIMUM_UNNOTED_EVENTS):
        durable = fixture.put_event(sequence=sequence)
    await durable
    assert fixture.noted() == (0, 0)
    await fixture.put_event(sequence=MAXIMUM_UNNOTED_EVENTS)
    assert fixture.noted() == (MAXIMUM_UNNOTED_EVENTS, MAXIMUM_UNNOTED_EVENTS)


async def test_what_is_open_is_noted_when_the_writer_stops(fixture: WriterFixture) -> None:
    await fixture.put_event(sequence=1)
    await fixture.writer.stop()
    assert fixture.noted() == (1, 1)


async def test_what_is_open_is_noted_before_rows_are_deleted(fixture: WriterFixture) -> None:
    await fixture.put_event(sequence=1)
    await fixture.writer.when_idle(lambda _connection: None)
    assert fixture.noted() == (0, 0)
    await fixture.writer.when_idle(lambda _connection: None, needs_open_events=True)
    assert fixture.noted() == (1, 1)


async def test_what_could_not_be_noted_is_noted_later(fixture: WriterFixture) -> None:
    await fixture.put_event(sequence=1)
    fixture.other.execute("BEGIN IMMEDIATE")  # blocks the writer
    with pytest.raises(apsw.BusyError):
        await fixture.writer.when_idle(lambda _connection: None, needs_open_events=True)
    fixture.other.execute("COMMIT")
    await fixture.writer.when_idle(lambda _connection: None, needs_open_events=True)
    assert fixture.noted() == (1, 1)


async def test_stopping_commits_queued_transactions(fixture: WriterFixture) -> None:
    waiting = [fixture.put(name='"one"') for _ in range(10)]
    await asyncio.gather(fixture.writer.stop(), fixture.writer.stop())
    assert all(durable.done() for durable in waiting)
    assert fixture.count() == 10


def _refuse_by_constraint(fixture: WriterFixture) -> None:
    fixture.other.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON stage BEGIN SELECT RAISE (ABORT, 'broken store'); END"
    )


def _fill_the_disk(fixture: WriterFixture) -> None:
    fixture.connection.execute("PRAGMA max_page_count = 1").fetchall()


def _close_the_connection(fixture: WriterFixture) -> None:
    fixture.connection.close()


@pytest.mark.parametrize("break_store", [_refuse_by_constraint, _fill_the_disk, _close_the_connection])
async def test_a_failing_store_fails_all_queued_transactions_and_refuses_new_ones(
    fixture: WriterFixture, break_store: Callable[[WriterFixture], None]
) -> None:
    await fixture.put(name='"before"')
    break_store(fixture)
    long_name = '"' + "x" * 100_000 + '"'
    waiting = [fixture.put(name=long_name) for _ in range(2 * MAXIMUM_GROUP_TRANSACTIONS)]
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, BookFailedError)
    with pytest.raises(BookFailedError, match="could not be written"):
        fixture.put(name='"after"')
    failure = await fixture.writer.wait_ended()
    assert isinstance(failure, BookFailedError)
    await fixture.writer.stop()
    assert fixture.count() == 1


async def test_wait_ended_returns_none_after_stop(fixture: WriterFixture) -> None:
    ended = asyncio.ensure_future(fixture.writer.wait_ended())
    await fixture.put(name='"one"')
    assert not ended.done()
    await fixture.writer.stop()
    assert await ended is None


async def test_a_failing_group_leaves_no_partial_transaction(fixture: WriterFixture) -> None:
    fixture.other.execute("BEGIN IMMEDIATE")
    good, bad = fixture.put(name='"good"'), fixture.put(name="null")  # a stage without a name
    fixture.other.execute("COMMIT")
    outcomes = await asyncio.gather(good, bad, return_exceptions=True)
    assert isinstance(outcomes[1], BookFailedError)
    # The good one may have been in a group of its own. In either case it is stored only if it was acknowledged.
    assert fixture.count() == (1 if outcomes[0] is None else 0)


async def test_the_latency_of_a_group_counts_for_each_of_its_transactions(fixture: WriterFixture) -> None:
    fixture.other.execute("BEGIN IMMEDIATE")
    first = fixture.put(name='"one"')
    fixture.clock_seconds += 1.0
    await asyncio.to_thread(fixture.wait_until_taken)
    waiting = [fixture.put(name='"more"') for _ in range(4)]
    fixture.clock_seconds += 2.0
    fixture.other.execute("COMMIT")
    await asyncio.gather(first, *waiting)
    assert fixture.writer.latency.count == 5
    # The first one waited for 3 s. Of the others, all count as the oldest of them, which waited for 2 s.
    assert fixture.writer.latency.sum_seconds == 3.0 + 4 * 2.0


class RecordedCommits:
    """An observer that numbers the submitters and records the commits."""

    def __init__(self) -> None:
        self.submitters = 0
        self.commits: list[tuple[list[int], int]] = []

    def submitter(self) -> int:
        self.submitters += 1
        return self.submitters

    def committed(self, submitters: list[int], *, transactions: int, seconds: float) -> None:
        assert seconds >= 0
        self.commits.append((submitters, transactions))


async def test_an_observer_is_told_of_each_commit_and_of_a_bounded_number_of_submitters(
    fixture: WriterFixture,
) -> None:
    observer = fixture.writer.observer = RecordedCommits()
    fixture.other.execute("BEGIN IMMEDIATE")
    first = fixture.put(name='"one"')
    await asyncio.to_thread(fixture.wait_until_taken)
    waiting = [fixture.put(name='"more"') for _ in range(100)]
    fixture.other.execute("COMMIT")
    await asyncio.gather(first, *waiting)
    assert observer.commits == [([1], 1), (list(range(2, 2 + MAXIMUM_OBSERVED_SUBMITTERS)), 100)]


async def test_idle_work_waits_until_no_transaction_is_queued(fixture: WriterFixture) -> None:
    fixture.other.execute("BEGIN IMMEDIATE")  # blocks the writer
    first = fixture.put(name='"first"')
    counted = fixture.writer.when_idle(_count_stages)
    waiting = [fixture.put(name='"behind"') for _ in range(2 * MAXIMUM_GROUP_TRANSACTIONS)]
    fixture.other.execute("COMMIT")
    assert await counted == len(waiting) + 1
    assert first.done()


async def test_a_transaction_that_comes_during_idle_work_is_committed_before_further_work(
    fixture: WriterFixture,
) -> None:
    is_running, go_on = threading.Event(), threading.Event()

    def held(_connection: apsw.Connection) -> None:
        is_running.set()
        go_on.wait()

    first = fixture.writer.when_idle(held)
    counts = [fixture.writer.when_idle(_count_stages) for _ in range(2)]
    await asyncio.to_thread(is_running.wait)
    durable = fixture.put(name='"meanwhile"')
    go_on.set()
    await first
    assert await asyncio.gather(*counts) == [1, 1]
    assert durable.done()


async def test_idle_work_does_not_wait_for_the_lock_of_another_program(fixture: WriterFixture) -> None:
    def begin(connection: apsw.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")

    fixture.other.execute("BEGIN IMMEDIATE")
    with pytest.raises(apsw.BusyError):
        await fixture.writer.when_idle(begin)
    fixture.other.execute("COMMIT")
    await fixture.put(name='"one"')
    assert fixture.count() == 1


async def test_idle_work_on_a_full_disk_is_undone_and_the_book_goes_on(fixture: WriterFixture) -> None:
    def grow(connection: apsw.Connection) -> None:
        pages = connection.pragma("page_count")
        connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        try:
            connection.execute("BEGIN IMMEDIATE; UPDATE sequencer SET last_sequence = 9")
            connection.execute("CREATE TABLE other AS SELECT zeroblob(1000000)")
        finally:
            connection.execute("PRAGMA max_page_count = 1000000").fetchall()

    with pytest.raises(apsw.FullError):
        await fixture.writer.when_idle(grow)
    assert fixture.reader.execute("SELECT last_sequence FROM sequencer").fetchall() == [(0,)]
    await fixture.put(name='"one"')
    assert fixture.count() == 1


async def test_idle_work_that_fails_otherwise_fails_the_book(fixture: WriterFixture) -> None:
    def fail(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO stage VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")

    work, later = fixture.writer.when_idle(fail), fixture.writer.when_idle(_count_stages)
    for each in (work, later):
        with pytest.raises(BookFailedError):
            await each
    assert isinstance(await fixture.writer.wait_ended(), BookFailedError)
    with pytest.raises(BookFailedError):
        fixture.writer.when_idle(_count_stages)


async def test_stopping_refuses_idle_work_that_waits(fixture: WriterFixture) -> None:
    fixture.other.execute("BEGIN IMMEDIATE")
    durable = fixture.put(name='"one"')
    work = fixture.writer.when_idle(_count_stages)
    stopping = asyncio.create_task(fixture.writer.stop())
    await asyncio.sleep(0)
    fixture.other.execute("COMMIT")
    await stopping
    assert durable.done()
    with pytest.raises(BookFailedError):
        await work
    with pytest.raises(BookFailedError):
        fixture.writer.when_idle(_count_stages)


def _count_stages(connection: apsw.Connection) -> int:
    rows: list[Any] = connection.execute("SELECT count(*) FROM stage").fetchall()
    return int(rows[0][0])
