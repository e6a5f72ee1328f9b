"""The pool of reader threads: turns of accounts, failures of connections, cancelled callers, the end."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stagebook.book.book_errors import BookDamagedError, BookFailedError
from stagebook.book.sqlite.open_readers import open_reader
from stagebook.book.tables.pooled.reader_pool import ReaderPool
from stagebook.book.tables.table_reader import TableReader
from stagebook.stage.errors import ServerBusyError
from tests.book.sample import ARN, commit, open_book, put_stage


class Readers:
    """Opens readers of one book, and knows what became of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.opened: list[TableReader] = []
        self.threads: set[int] = set()
        self.failures: list[Exception] = []
        """What the next attempts to open raise."""

    def open(self) -> TableReader:
        self.threads.add(threading.get_ident())
        if self.failures:
            raise self.failures.pop()
        self.opened.append(open_reader(self._path))
        return self.opened[-1]

    @property
    def open_count(self) -> int:
        """How many readers are open."""
        return sum(_is_open(reader) for reader in self.opened)


class SlowReads:
    """Reads that return when `release` is called."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self.started = threading.Semaphore(0)

    def __call__(self, _reader: TableReader) -> str:
        self.started.release()
        assert self._released.wait(30)
        return "slow"

    def release(self) -> None:
        self._released.set()

    async def wait_started(self, count: int) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self.started.acquire, timeout=30)


def _is_open(reader: TableReader) -> bool:
    try:
        reader.last_sequence()
    except BookFailedError:
        return False
    return True


def name_of_stage(reader: TableReader) -> str:
    stage = reader.get_stage(ARN)
    assert stage is not None
    return stage.name


def failing(error: Exception, *, times: int) -> Callable[[TableReader], str]:
    """Return a read that raises an error some times, then returns the name of the stage."""
    errors = [error] * times

    def read(reader: TableReader) -> str:
        if errors:
            raise errors.pop()
        return name_of_stage(reader)

    return read


@pytest.fixture
async def readers(tmp_path: Path) -> Readers:
    book = open_book(tmp_path / "book")
    await commit(book, put_stage())
    await book.close()
    return Readers(tmp_path / "book")


@pytest.fixture
async def pool(readers: Readers) -> AsyncIterator[ReaderPool]:
    pool = ReaderPool(readers.open, threads=4)
    yield pool
    await pool.close()
    assert readers.open_count == 0


async def test_threads_are_started_when_reads_need_them(pool: ReaderPool, readers: Readers) -> None:
    for _ in range(3):
        assert await pool.run("a", name_of_stage) == "talk"
    assert len(readers.opened) == 1
    assert threading.get_ident() not in readers.threads


async def test_reads_of_several_accounts_run_at_the_same_time(pool: ReaderPool, readers: Readers) -> None:
    slow = SlowReads()
    async with asyncio.TaskGroup() as group:
        for number in range(9):
            group.create_task(pool.run(f"account{number}", slow))
        await slow.wait_started(4)
        assert pool.waiting_reads == 5
        slow.release()
    assert len(readers.threads) == len(readers.opened) == 4


async def test_slow_reads_of_an_account_leave_threads_to_others(pool: ReaderPool) -> None:
    slow = SlowReads()
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(pool.run("greedy", slow))
        await slow.wait_started(2)
        assert await pool.run("other", name_of_stage) == "talk"
        assert pool.waiting_reads == 48
        slow.release()


async def test_too_many_reads_of_an_account_are_refused(readers: Readers) -> None:
    pool, slow = ReaderPool(readers.open, threads=1, waiting_per_account=2), SlowReads()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(pool.run("a", slow))
        await slow.wait_started(1)
        with pytest.raises(ServerBusyError, match="of this account"):
            await pool.run("a", name_of_stage)
        slow.release()
    await pool.close()


async def test_a_read_that_waited_too_long_is_refused(readers: Readers) -> None:
    pool, slow = ReaderPool(readers.open, threads=1, patience_seconds=0), SlowReads()
    with pytest.raises(ServerBusyError, match="waited too long"):
        await pool.run("a", slow)
    await pool.close()
    assert readers.opened == []


async def test_a_cancelled_read_that_waits_does_not_run(readers: Readers) -> None:
    pool, slow = ReaderPool(readers.open, threads=1), SlowReads()
    ran: list[TableReader] = []
    running = asyncio.create_task(pool.run("a", slow))
    await slow.wait_started(1)
    waiting = asyncio.create_task(pool.run("a", ran.append))
    await asyncio.sleep(0)
    assert pool.waiting_reads == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert pool.waiting_reads == 0
    slow.release()
    assert await running == "slow"
    assert await pool.run("a", name_of_stage) == "talk"
    assert ran == []
    await pool.close()


async def test_the_thread_of_a_cancelled_caller_serves_the_next(readers: Readers) -> None:
    pool, slow = ReaderPool(readers.open, threads=1), SlowReads()
    running = asyncio.create_task(pool.run("a", slow))
    await slow.wait_started(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
    slow.release()
    assert await pool.run("a", name_of_stage) == "talk"
    assert len(readers.opened) == 1
    await pool.close()


async def test_a_connection_that_failed_is_opened_again(pool: ReaderPool, readers: Readers) -> None:
    assert await pool.run("a", failing(BookFailedError("lost"), times=1)) == "talk"
    assert len(readers.opened) == 2
    assert readers.open_count == 1


async def test_a_store_that_comes_back_in_time_is_waited_for(pool: ReaderPool, readers: Readers) -> None:
    readers.failures = [BookFailedError("refused")] * 3
    assert await pool.run("a", name_of_stage) == "talk"
    assert readers.failures == []


async def test_a_store_that_does_not_come_back_is_an_error_to_retry(readers: Readers) -> None:
    pool = ReaderPool(readers.open, patience_seconds=0.2)
    with capture_logs() as logs, pytest.raises(ServerBusyError, match="does not answer"):
        await pool.run("a", failing(BookFailedError("lost"), times=1_000))
    assert [line["reason"] for line in logs] == ["lost"]
    assert await pool.run("a", name_of_stage) == "talk"
    await pool.close()


@pytest.mark.parametrize("error", [BookDamagedError("damaged"), ValueError("defect")], ids=["damaged", "defect"])
async def test_other_errors_are_raised_at_once(pool: ReaderPool, readers: Readers, error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        await pool.run("a", failing(error, times=1))
    assert raised.value is error
    assert await pool.run("a", name_of_stage) == "talk"
    assert len(readers.opened) == 1


async def test_the_end_refuses_reads_that_wait_and_waits_for_those_that_run(readers: Readers) -> None:
    pool, slow = ReaderPool(readers.open, threads=1), SlowReads()
    running = asyncio.create_task(pool.run("a", slow))
    await slow.wait_started(1)
    waiting = asyncio.create_task(pool.run("a", name_of_stage))
    await asyncio.sleep(0)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(ServerBusyError, match="stopping"):
        await waiting
    with pytest.raises(ServerBusyError, match="stopping"):
        await pool.run("a", name_of_stage)
    assert not closing.done()
    slow.release()
    await closing
    assert await running == "slow"
    assert readers.open_count == 0
    await pool.close()


async def test_the_end_does_not_wait_for_a_store_that_is_gone(readers: Readers) -> None:
    pool = ReaderPool(readers.open, patience_seconds=600)
    attempts = threading.Semaphore(0)

    def read(_reader: TableReader) -> None:
        attempts.release()
        raise BookFailedError("lost")

    running = asyncio.create_task(pool.run("a", read))
    assert await asyncio.to_thread(attempts.acquire, timeout=30)
    await pool.close()
    with pytest.raises(ServerBusyError, match="does not answer"):
        await running


async def test_the_end_does_not_wait_for_ever_for_a_read(readers: Readers) -> None:
    pool, slow = ReaderPool(readers.open, threads=1, end_seconds=0.01), SlowReads()
    running = asyncio.create_task(pool.run("a", slow))
    await slow.wait_started(1)
    ended = pool._threads[0].ended
    await pool.close()
    assert not running.done()
    slow.release()
    assert await running == "slow"
    await ended
    assert readers.open_count == 0
