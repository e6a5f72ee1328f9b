"""Engine processes that are lost, replaced, stopped, or orphaned by a killed server."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from stagebook.media.port import (
    CloseCause,
    Closed,
    MediaRefusedError,
    RefusalReason,
)
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.pending_requests import MAX_IN_FLIGHT
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.media.rtc import offers
from tests.media.rtc.engine.running_pool import (
    DEADLINE_SECONDS,
    running_pool,
    until,
)
from tests.process_state import is_alive


async def test_a_lost_engine_closes_its_connections_and_a_new_process_takes_its_port() -> None:
    async with running_pool(processes=2) as scenario:
        port = await scenario.publish("a")
        await scenario.publish("b")
        await scenario.subscribe("a", "v")
        scenario.kill(0)
        await scenario.wait_for_restart(0)
        assert scenario.facts == [
            Closed(connection_id="v", cause=CloseCause.ENGINE_LOST),
            Closed(connection_id="a-publisher", cause=CloseCause.ENGINE_LOST),
        ]
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.subscribe("a", "w")
        assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE
        assert await scenario.publish("c") == port
        await scenario.subscribe("b", "x")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
async def test_an_engine_of_another_user_listens_on_all_addresses() -> None:
    """Such a process may be unable to read the modules of Python, and so cannot import any more of them."""
    settings = EngineSettings(bind_addresses=("0.0.0.0",))  # noqa: S104 - the test is about the wildcard
    async with running_pool(settings=settings, user=ProcessUser(user_id=60_001, group_id=60_002)) as scenario:
        assert await scenario.publish("a") > 0


async def test_pending_requests_fail_when_the_engine_is_lost_and_are_not_reported() -> None:
    async with running_pool() as scenario:
        await scenario.publish("a")
        scenario.kill(with_signal=signal.SIGSTOP)
        waiting = asyncio.create_task(scenario.publish("b"))
        patching = asyncio.create_task(scenario.pool.patch(connection_id="a-publisher", fragment="", ice_session=None))
        await asyncio.sleep(0)
        scenario.kill()
        for task in (waiting, patching):
            with pytest.raises(MediaRefusedError) as refused:
                await task
            assert refused.value.reason is RefusalReason.ENGINE_LOST
        await until(lambda: bool(scenario.facts))
        assert scenario.facts == [Closed(connection_id="a-publisher", cause=CloseCause.ENGINE_LOST)]


async def test_a_slow_request_fails_for_itself_and_the_engine_keeps_its_connections() -> None:
    async with running_pool(timeouts=WorkerTimeouts(request_seconds=0.3)) as scenario:
        await until_answered(lambda: scenario.publish("a"))
        process_id = scenario.process_id()
        scenario.kill(with_signal=signal.SIGSTOP)
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.publish("slow")
        assert refused.value.reason is RefusalReason.BUSY
        scenario.kill(with_signal=signal.SIGCONT)
        # The engine carries out the late request and then its undoing, so the source can be published anew.
        await until_answered(lambda: scenario.publish("slow"))
        await until_answered(lambda: scenario.subscribe("a", "v"))
        assert scenario.process_id() == process_id
        assert scenario.facts == []


async def test_requests_beyond_the_limit_are_refused_at_once_also_after_their_callers_gave_up() -> None:
    async with running_pool() as scenario:
        await scenario.publish("a")
        scenario.kill(with_signal=signal.SIGSTOP)
        waiting = [asyncio.create_task(scenario.subscribe("a", f"v{number}")) for number in range(MAX_IN_FLIGHT)]
        await asyncio.sleep(0)
        for task in waiting[1:]:
            task.cancel()
        await asyncio.wait(waiting[1:])
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.subscribe("a", "one more")
        assert refused.value.reason is RefusalReason.BUSY
        scenario.kill(with_signal=signal.SIGCONT)
        await waiting[0]
        await until_answered(lambda: scenario.publish("b"))
        assert scenario.facts == []


async def test_a_flood_of_large_offers_of_one_viewer_ends_nobody_elses_media() -> None:
    large = offers.CHROMIUM_VIEWER + "".join(f"a=rtcp-fb:* x{number}\r\n" for number in range(3_000))
    async with running_pool() as scenario:
        await scenario.publish("a")
        process_id = scenario.process_id()
        flood = [
            scenario.pool.subscribe(connection_id=f"v{number}", source_id="a", offer=large) for number in range(300)
        ]
        results = await asyncio.gather(*flood, return_exceptions=True)
        refused = [result.reason for result in results if isinstance(result, MediaRefusedError)]
        assert refused.count(RefusalReason.BUSY) >= 300 - MAX_IN_FLIGHT
        assert RefusalReason.ENGINE_LOST not in refused
        await scenario.publish("b")
        assert (scenario.process_id(), scenario.facts) == (process_id, [])


async def until_answered(request: Callable[[], Awaitable[object]]) -> None:
    """Send a request to the engine, and send it again while the engine is busy."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                await request()
            except MediaRefusedError as error:
                if error.reason is not RefusalReason.BUSY:
                    raise
            else:
                return


async def test_an_engine_without_heartbeats_is_replaced() -> None:
    async with running_pool(timeouts=WorkerTimeouts(heartbeat_seconds=0.3)) as scenario:
        await scenario.publish("a")
        scenario.kill(with_signal=signal.SIGSTOP)
        await scenario.wait_for_restart()
        assert scenario.facts == [Closed(connection_id="a-publisher", cause=CloseCause.ENGINE_LOST)]


async def test_publishers_are_refused_while_no_engine_is_running() -> None:
    async with running_pool(timeouts=WorkerTimeouts(restart_delay_seconds=60)) as scenario:
        scenario.kill()
        await until(lambda: not scenario.pool.engines[0].is_running)
        with pytest.raises(MediaRefusedError) as refused:
            await scenario.publish("a")
        assert refused.value.reason is RefusalReason.ENGINE_LOST


async def test_nothing_is_reported_about_a_connection_of_a_lost_engine_that_was_closed() -> None:
    async with running_pool() as scenario:
        await scenario.publish("a")
        await scenario.publish("b")
        await scenario.publish("c")
        # As if the engine's loss had been noticed now; the reports are still to come.
        scenario.pool._handle_loss(scenario.pool.engines[0], frozenset())
        scenario.pool.close(connection_id="a-publisher")
        scenario.pool.end_source(source_id="b")
        await until(lambda: bool(scenario.facts))
        assert scenario.facts == [Closed(connection_id="c-publisher", cause=CloseCause.ENGINE_LOST)]


async def test_an_engine_ignores_signals_meant_for_the_server() -> None:
    async with running_pool() as scenario:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            scenario.kill(with_signal=number)
        await scenario.publish("a")
        assert scenario.facts == []


async def test_stop_leaves_no_process_and_reports_no_fact() -> None:
    async with running_pool(processes=2) as scenario:
        await scenario.publish("a")
        processes = [scenario.process_id(0), scenario.process_id(1)]
        await scenario.pool.stop()
        assert not any(is_alive(process_id) for process_id in processes)
        assert scenario.facts == []


async def test_stop_does_not_wait_for_an_engine_that_hangs() -> None:
    pool = EnginePool(EngineSettings(), processes=1, timeouts=WorkerTimeouts(stop_seconds=0.2))
    await pool.start()
    process_id = pool.engines[0].process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGSTOP)
    await pool.stop()
    assert not is_alive(process_id)


SERVER_SCRIPT = """
import asyncio
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings

async def main():
    pool = EnginePool(EngineSettings(), processes=2)
    await pool.start()
    print("engines", *(engine.process_id for engine in pool.engines), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_engines_exit_when_the_server_is_killed() -> None:
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER_SCRIPT, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    async for line in server.stdout:
        if line.startswith(b"engines "):
            break
    engines = [int(word) for word in line.split()[1:]]
    assert len(engines) == 2
    assert all(is_alive(process_id) for process_id in engines)
    server.kill()
    await server.wait()
    await until(lambda: not any(is_alive(process_id) for process_id in engines))


STOPPED_SERVER_SCRIPT = """
import asyncio, os, signal
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.media.rtc import offers

TIMEOUTS = WorkerTimeouts(heartbeat_seconds=0.2, request_seconds=2, max_missed_heartbeats=10)

async def main():
    pool = EnginePool(EngineSettings(), processes=1, timeouts=TIMEOUTS)
    await pool.start()
    process_id = pool.engines[0].process_id
    publishing = asyncio.create_task(pool.publish(connection_id="c", source_id="s", offer=offers.CHROMIUM))
    await asyncio.sleep(0)
    # The request is in flight, and its reply and the heartbeats arrive while this process is stopped.
    os.kill(os.getpid(), signal.SIGSTOP)
    await publishing
    await asyncio.sleep(1)
    await pool.subscribe(connection_id="v", source_id="s", offer=offers.CHROMIUM_VIEWER)
    print("same engine" if pool.engines[0].process_id == process_id else "another engine", flush=True)
    await pool.stop()

asyncio.run(main())
"""


async def test_a_server_that_was_stopped_keeps_its_healthy_engines() -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STOPPED_SERVER_SCRIPT, stdout=asyncio.subprocess.PIPE
    )
    stat = Path(f"/proc/{server.pid}/stat")
    await until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
    # Longer than every timeout of the script.
    await asyncio.sleep(3)
    server.send_signal(signal.SIGCONT)
    output, _ = await server.communicate()
    assert output.splitlines()[-1] == b"same engine"
