"""The writing thread: groups, the end, and a store that fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from stagebook.book.sqlite.change_rows import PUT_STAGES, STATEMENTS
from stagebook.book.sqlite.schema import open_for_reading, open_for_writing
from stagebook.book.sqlite.writer import MAXIMUM_GROUP_TRANSACTIONS, QueuedTransaction, Writer
from stagebook.book.store import BookFailedError

PUT_STAGES_POSITION = STATEMENTS.index(PUT_STAGES)


class Bench:
    """A writer over a new book, what it told, and a second connection that can get in its way."""

    def __init__(self, path: Path) -> None:
        self.connection = open_for_writing(path)
        self.other = apsw.Connection(str(path))
        self.reader = open_for_reading(path)
        self.commits = 0
        self.durable = 0
        self.connection.set_commit_hook(self._count_commit)
        self.writer = Writer(self.connection, loop=asyncio.get_running_loop(), on_durable=self._count_durable)
        self._last_key = 0

    def _count_commit(self) -> bool:
        self.commits += 1
        return False

    def _count_durable(self, count: int) -> None:
        self.durable += count

    def put(self, *, name: str = "null") -> asyncio.Future[None]:
        """Queue a transaction that puts one stage whose name is this JSON value."""
        self._last_key += 1
        durable = asyncio.get_running_loop().create_future()
        text = f'[{self._last_key},"arn{self._last_key}","account",{name},0,"{{}}","{{}}"]'
        self.writer.put(
            QueuedTransaction(row_texts=[(PUT_STAGES_POSITION, text)], last_sequence=self._last_key, durable=durable)
        )
        return durable

    def count(self) -> int:
        """Return how many stages another connection sees."""
        rows: list[Any] = self.reader.execute("SELECT count(*) FROM stage").fetchall()
        counted: int = rows[0][0]
        return counted


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "book")
    yield bench
    bench.other.close()
    await bench.writer.stop()
    bench.reader.close()
    bench.connection.close()


async def test_nothing_is_acknowledged_before_it_is_committed(bench: Bench) -> None:
    bench.other.execute("BEGIN IMMEDIATE")  # the writer cannot begin now
    durable = bench.put(name='"one"')
    done, _ = await asyncio.wait([durable], timeout=0.05)
    assert not done
    assert bench.count() == 0
    bench.other.execute("COMMIT")
    await durable
    assert bench.count() == 1


async def test_what_waits_is_committed_together(bench: Bench) -> None:
    bench.other.execute("BEGIN IMMEDIATE")
    first = bench.put(name='"held back"')
    waiting = [bench.put(name='"behind"') for _ in range(100)]
    bench.other.execute("COMMIT")
    await asyncio.gather(first, *waiting)
    assert bench.count() == 101
    assert bench.commits <= 2
    assert bench.durable == 101


async def test_a_group_is_bounded(bench: Bench) -> None:
    bench.other.execute("BEGIN IMMEDIATE")
    waiting = [bench.put(name='"one"') for _ in range(3 * MAXIMUM_GROUP_TRANSACTIONS)]
    bench.other.execute("COMMIT")
    await asyncio.gather(*waiting)
    assert bench.commits >= 3
    assert bench.durable == 3 * MAXIMUM_GROUP_TRANSACTIONS


async def test_the_sequencer_is_stored_with_the_group(bench: Bench) -> None:
    bench.put(name='"one"')
    await bench.put(name='"two"')
    assert bench.reader.execute("SELECT last_sequence FROM sequencer").fetchall() == [(2,)]


async def test_stopping_commits_what_is_queued(bench: Bench) -> None:
    waiting = [bench.put(name='"one"') for _ in range(10)]
    await asyncio.gather(bench.writer.stop(), bench.writer.stop())
    assert all(durable.done() for durable in waiting)
    assert bench.count() == 10


def _refuse_by_constraint(bench: Bench) -> None:
    bench.other.execute("CREATE TRIGGER broken BEFORE INSERT ON stage BEGIN SELECT RAISE (ABORT, 'no more paper'); END")


def _fill_the_disk(bench: Bench) -> None:
    bench.connection.execute("PRAGMA max_page_count = 1").fetchall()


def _close_the_connection(bench: Bench) -> None:
    bench.connection.close()


@pytest.mark.parametrize("break_store", [_refuse_by_constraint, _fill_the_disk, _close_the_connection])
async def test_a_store_that_fails_fails_all_that_wait_and_takes_nothing_more(
    bench: Bench, break_store: Callable[[Bench], None]
) -> None:
    await bench.put(name='"before"')
    break_store(bench)
    long_name = '"' + "x" * 100_000 + '"'
    waiting = [bench.put(name=long_name) for _ in range(2 * MAXIMUM_GROUP_TRANSACTIONS)]
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, BookFailedError)
    with pytest.raises(BookFailedError, match="could not be written"):
        bench.put(name='"after"')
    failure = await bench.writer.wait_ended()
    assert isinstance(failure, BookFailedError)
    await bench.writer.stop()
    assert bench.count() == 1


async def test_whoever_waits_for_the_end_learns_that_it_was_asked_for(bench: Bench) -> None:
    ended = asyncio.ensure_future(bench.writer.wait_ended())
    await bench.put(name='"one"')
    assert not ended.done()
    await bench.writer.stop()
    assert await ended is None


async def test_a_group_that_fails_leaves_no_half(bench: Bench) -> None:
    bench.other.execute("BEGIN IMMEDIATE")
    good, bad = bench.put(name='"good"'), bench.put(name="null")  # a stage without a name
    bench.other.execute("COMMIT")
    outcomes = await asyncio.gather(good, bad, return_exceptions=True)
    assert isinstance(outcomes[1], BookFailedError)
    # The good one may have been a group of its own; acknowledged and stored are the same in any case.
    assert bench.count() == (1 if outcomes[0] is None else 0)
