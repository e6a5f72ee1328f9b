"""The writer thread: groups, stopping, and a failing store."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from stagebook.book.book_errors import BookFailedError
from stagebook.book.tables.writer.group_committer import TransactionGroup
from stagebook.book.tables.writer.group_writer import MAXIMUM_GROUP_TRANSACTIONS, MAXIMUM_OBSERVED_SUBMITTERS
from tests.book.writer_fixture import WriterFixture, running_writer


@pytest.fixture
async def fixture(tmp_path: Path) -> AsyncIterator[WriterFixture]:
    async with running_writer(tmp_path / "book") as fixture:
        yield fixture


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
    commit = fixture.writer._committer.commit

    def held_commit(group: TransactionGroup) -> None:
        is_taken.set()
        go_on.wait()
        commit(group)

    monkeypatch.setattr(fixture.writer._committer, "commit", held_commit)
    taken = fixture.put(name='"taken"')
    await asyncio.to_thread(is_taken.wait)
    first, second = fixture.put(name='"first"'), fixture.put(name='"second"')
    assert first is second
    assert first is not taken
    go_on.set()
    await first
    assert taken.done()
    assert fixture.count() == 3


async def test_a_group_that_is_late_is_committed_again_before_it_is_acknowledged(
    fixture: WriterFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed: list[TransactionGroup] = []

    def late_once(group: TransactionGroup) -> None:
        committed.append(group)
        group.acknowledged_before = fixture.clock_seconds + len(committed) - 1

    monkeypatch.setattr(fixture.writer._committer, "commit", late_once)
    await fixture.put(name='"late"')
    assert committed == [committed[0]] * 2
    assert fixture.durable == 1


async def test_groups_are_acknowledged_in_their_order_also_behind_one_that_is_late(
    fixture: WriterFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[TransactionGroup] = []
    is_taken, go_on = threading.Event(), threading.Event()

    def late_once(group: TransactionGroup) -> None:
        is_taken.set()
        go_on.wait()
        commits.append(group)
        group.acknowledged_before = fixture.clock_seconds + len(commits) - 1

    monkeypatch.setattr(fixture.writer._committer, "commit", late_once)
    order: list[str] = []
    late = fixture.put(name='"late"')
    await asyncio.to_thread(is_taken.wait)
    later = fixture.put(name='"later"')
    late.add_done_callback(lambda _: order.append("late"))
    later.add_done_callback(lambda _: order.append("later"))
    go_on.set()
    await asyncio.gather(late, later)
    assert order == ["late", "later"]
    assert fixture.durable == 2
    assert fixture.writer.durable_sequence == 2


async def test_a_group_that_is_late_at_the_end_fails(fixture: WriterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(group: TransactionGroup) -> None:
        group.acknowledged_before = fixture.clock_seconds

    monkeypatch.setattr(fixture.writer._committer, "commit", late)
    durable = fixture.put(name='"late"')
    await fixture.writer.stop()
    with pytest.raises(BookFailedError, match="not acknowledged in time"):
        await durable
    assert isinstance(await fixture.writer.wait_ended(), BookFailedError)


async def test_the_size_of_a_group_is_bounded(fixture: WriterFixture) -> None:
    fixture.other.execute("BEGIN IMMEDIATE")
    waiting = [fixture.put(name='"one"') for _ in range(3 * MAXIMUM_GROUP_TRANSACTIONS)]
    fixture.other.execute("COMMIT")
    await asyncio.gather(*waiting)
    assert fixture.commits >= 3
    assert fixture.durable == 3 * MAXIMUM_GROUP_TRANSACTIONS


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
