"""Timeouts that are counted in intervals of the event loop."""

import asyncio
import time

from stagebook.media.worker.worker_timeouts import RestartDelay, WorkerTimeouts, wait_in_intervals


async def test_a_wait_is_a_number_of_intervals() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert not await wait_in_intervals(never, seconds=0.05, interval_seconds=0.01)
    assert not await wait_in_intervals(never, seconds=0.01, interval_seconds=60)
    assert not never.cancelled()


async def test_a_blocked_loop_does_not_end_a_wait() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    # The reply comes in the iteration after the block, as from a socket. Every clock has passed the timeout then.
    loop.call_soon(time.sleep, 0.1)
    loop.call_later(0.01, loop.call_soon, lambda: loop.call_soon(future.set_result, None))
    assert await wait_in_intervals(future, seconds=0.05, interval_seconds=0.025)


async def test_an_exception_of_the_future_counts_as_done() -> None:
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    failed.set_exception(ZeroDivisionError())
    assert await wait_in_intervals(failed, seconds=1, interval_seconds=1)
    assert isinstance(failed.exception(), ZeroDivisionError)


def test_the_restart_delay_doubles_to_its_maximum_and_a_stable_run_resets_it() -> None:
    delay = RestartDelay(
        WorkerTimeouts(restart_delay_seconds=1, max_restart_delay_seconds=5, stable_run_seconds=10),
    )
    assert [delay.after_run(10) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert delay.after_run(10.1) == 1
    assert delay.after_run(0) == 2
