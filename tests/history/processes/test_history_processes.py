"""The pool of history processes, with real processes: results, limits of time and number, crashes, orphans."""

import asyncio
import os
import select
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from stagebook.book.book_errors import BookRefusedError
from stagebook.history.processes import history_processes
from stagebook.history.processes.history_process import NICENESS
from stagebook.history.processes.history_processes import HistoryProcesses
from stagebook.stage.errors import InvalidInputError, ServerBusyError
from tests.book.sample import append, commit, open_book, open_session, put, put_stage
from tests.history.processes import sample_reads

ROOT = Path(__file__).parents[3]
LONG_SECONDS = 60.0
"""More than a test takes: what ends sooner was not ended by this limit."""

MakePool = Callable[..., HistoryProcesses]


@pytest.fixture
async def make_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakePool]:
    """Make pools on one book, which are closed in the end."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    async with AsyncExitStack() as closing:
        book = open_book(tmp_path / "book")
        closing.push_async_callback(book.close)

        def make(
            processes: int = 1, *, read_seconds: float = LONG_SECONDS, kill_seconds: float = 60
        ) -> HistoryProcesses:
            pool = HistoryProcesses(
                tmp_path / "book", processes=processes, read_seconds=read_seconds, kill_seconds=kill_seconds
            )
            closing.push_async_callback(pool.close)
            return pool

        yield make


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """Return the path of a named pipe, to which a read writes its process id when it has started."""
    path = tmp_path / "started"
    os.mkfifo(path)
    return path


async def started_process(started: Path) -> int:
    """Wait for the process id of a read that has started."""
    return int(await asyncio.to_thread(started.read_text, "utf-8"))


async def test_a_read_gets_its_arguments_and_returns_its_result(make_pool: MakePool) -> None:
    assert await make_pool().run(sample_reads.add, 2, second=3) == 5


async def test_a_read_sees_what_is_durable_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = open_book(tmp_path / "book")
    pool = HistoryProcesses(tmp_path / "book", processes=1)
    assert await pool.run(sample_reads.last_sequence) == 0
    await commit(book, put_stage(), open_session(), put("p"))
    (sequence,) = await commit(book, append("p"))
    assert await pool.run(sample_reads.last_sequence) == sequence
    await pool.close()
    await book.close()


async def test_an_error_of_a_read_is_raised_with_its_members(make_pool: MakePool) -> None:
    with pytest.raises(InvalidInputError, match="stage: is not a stage") as raised:
        await make_pool().run(sample_reads.refuse)
    assert raised.value.member == "stage"
    assert "sample_reads.py" in raised.value.__notes__[0]


async def test_a_result_that_cannot_be_sent_fails_its_read_only(make_pool: MakePool) -> None:
    pool = make_pool()
    with pytest.raises(RuntimeError, match="cannot be sent"):
        await pool.run(sample_reads.return_what_cannot_be_pickled)
    assert await pool.run(sample_reads.add, 1, second=1) == 2


async def test_reads_share_a_process_that_is_started_once(make_pool: MakePool) -> None:
    pool = make_pool(2)
    assert len({await pool.run(sample_reads.process_id) for _ in range(3)}) == 1


async def test_a_process_has_low_priority_and_no_socket_of_the_server(make_pool: MakePool) -> None:
    pool = make_pool()
    assert await pool.run(sample_reads.niceness) == min(os.nice(0) + NICENESS, 19)
    assert await pool.run(sample_reads.open_sockets) == 1


async def test_an_endless_statement_is_interrupted(make_pool: MakePool, started: Path) -> None:
    pool = make_pool(read_seconds=1)
    read = asyncio.create_task(pool.run(sample_reads.run_endless_statement, started))
    process_id = await started_process(started)
    with pytest.raises(ServerBusyError, match=r"longer than 1 s"):
        await read
    assert await pool.run(sample_reads.process_id) == process_id


async def test_an_endless_loop_is_interrupted(make_pool: MakePool) -> None:
    with pytest.raises(ServerBusyError, match="longer than"):
        await make_pool(read_seconds=1).run(sample_reads.run_endless_loop)


async def test_a_process_that_hangs_is_killed(make_pool: MakePool) -> None:
    pool = make_pool(read_seconds=0.1, kill_seconds=3)
    with pytest.raises(ServerBusyError, match="interrupted"):
        await pool.run(sample_reads.hang)


async def test_a_crash_ends_one_read_only(make_pool: MakePool) -> None:
    pool = make_pool()
    with pytest.raises(ServerBusyError, match="interrupted"):
        await pool.run(sample_reads.crash)
    assert await pool.run(sample_reads.add, 1, second=1) == 2


async def test_a_process_that_was_killed_while_idle_is_replaced(make_pool: MakePool) -> None:
    pool = make_pool()
    process_id = await pool.run(sample_reads.process_id)
    exited = os.pidfd_open(process_id)
    os.kill(process_id, signal.SIGKILL)
    select.select([exited], [], [])
    os.close(exited)
    # The child watcher of the event loop reports the exit in a later turn.
    replaced = process_id
    while replaced == process_id:
        try:
            replaced = await pool.run(sample_reads.process_id)
        except ServerBusyError:
            await asyncio.sleep(0)


async def test_a_read_whose_caller_is_cancelled_is_stopped(make_pool: MakePool, started: Path) -> None:
    pool = make_pool()
    caller = asyncio.create_task(pool.run(sample_reads.run_endless_statement, started))
    process_id = await started_process(started)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await pool.run(sample_reads.process_id) == process_id


async def test_a_long_read_holds_up_no_read_in_another_process(make_pool: MakePool, started: Path) -> None:
    pool = make_pool(2)
    caller = asyncio.create_task(pool.run(sample_reads.run_endless_statement, started))
    process_id = await started_process(started)
    assert await pool.run(sample_reads.process_id) != process_id
    caller.cancel()


async def test_too_many_waiting_reads_are_refused(
    make_pool: MakePool, started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_processes, "MAXIMUM_WAITING_READS", 1)
    pool = make_pool()
    running = asyncio.create_task(pool.run(sample_reads.run_endless_statement, started))
    await started_process(started)
    waiting = asyncio.create_task(pool.run(sample_reads.add, 1, second=1))
    await asyncio.sleep(0)
    with pytest.raises(ServerBusyError, match="too many"):
        await pool.run(sample_reads.add, 1, second=1)
    running.cancel()
    assert await waiting == 2


async def test_close_ends_running_and_waiting_reads(make_pool: MakePool, started: Path) -> None:
    pool = make_pool()
    running = asyncio.create_task(pool.run(sample_reads.run_endless_statement, started))
    exited = os.pidfd_open(await started_process(started))
    waiting = asyncio.create_task(pool.run(sample_reads.add, 1, second=1))
    await asyncio.sleep(0)
    await pool.close()
    for read in (running, waiting, pool.run(sample_reads.add, 1, second=1)):
        with pytest.raises(ServerBusyError, match="stopping"):
            await read
    assert select.select([exited], [], [], 0)[0]
    os.close(exited)


async def test_a_book_that_cannot_be_opened_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pool = HistoryProcesses(tmp_path / "missing", processes=1)
    with pytest.raises(BookRefusedError):
        await pool.run(sample_reads.last_sequence)
    await pool.close()


SERVER = """
import asyncio, sys
from pathlib import Path
from stagebook.history.processes.history_processes import HistoryProcesses
from tests.history.processes import sample_reads
pool = HistoryProcesses(Path(sys.argv[1]), processes=1, read_seconds=3600)
asyncio.run(pool.run(sample_reads.run_endless_statement, Path(sys.argv[2])))
"""


async def test_a_process_exits_when_its_server_is_killed(make_pool: MakePool, tmp_path: Path, started: Path) -> None:
    make_pool()  # Makes the book.
    arguments = (sys.executable, "-c", SERVER, str(tmp_path / "book"), str(started))
    server = await asyncio.create_subprocess_exec(*arguments)
    exited = os.pidfd_open(await started_process(started))
    server.kill()
    await server.wait()
    await asyncio.to_thread(select.select, [exited], [], [])
    os.close(exited)
