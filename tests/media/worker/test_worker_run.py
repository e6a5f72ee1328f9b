"""A run of a worker process, with the ingest process as the worker. It has not got its start command."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stagebook.media.ingest.processes.ingest_messages import receive_report
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.worker_messages import Stop
from stagebook.media.worker.worker_run import WorkerProgram, WorkerRun, WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

INGEST = "stagebook.media.ingest.processes.ingest_process"
SILENT = WorkerTimeouts(start_seconds=0.2, heartbeat_seconds=0.05)


@asynccontextmanager
async def spawned(timeouts: WorkerTimeouts = SILENT, *, module: str) -> AsyncIterator[WorkerRun]:
    program = WorkerProgram(name="test worker", number=3, module=module, receive=receive_report, user=None)
    run = await WorkerRun.spawn(program, timeouts=timeouts)
    try:
        yield run
    finally:
        await run.reap()


async def test_a_process_that_exits_at_once_has_not_started() -> None:
    async with spawned(WorkerTimeouts(), module="stagebook.no_such_module") as run:
        with pytest.raises(WorkerStartError, match="the test worker exited before it was running"):
            await run.first_report()


async def test_a_process_without_a_first_report_has_not_started() -> None:
    async with spawned(module=INGEST) as run:
        with pytest.raises(WorkerStartError, match="the test worker did not start within 0 s"):
            await run.first_report()


async def test_the_end_of_the_process_ends_the_reports() -> None:
    async with spawned(module=INGEST) as run:
        run.send(Stop())  # It is not a start command, so the process exits.
        with pytest.raises(BrokenStreamError):
            await run.next_report()


async def test_reap_kills_a_process_that_hangs() -> None:
    async with spawned(module=INGEST) as run:
        os.kill(run.process_id, signal.SIGSTOP)
        assert await run.reap() == -signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            os.kill(run.process_id, 0)
