"""Worker processes of a server that is stopped (SIGSTOP): those of a node end, others go on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.process_state import is_alive


@contextmanager
def server(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a server; yield it and the process id of its worker."""
    command = [sys.executable, "-m", "tests.media.worker.stopped_server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            # Log lines come before it.
            yield process, next(int(line) for line in process.stdout if line.strip().isdigit())
        finally:
            process.kill()


def wait_until_ended(process_id: int, *, timeout_seconds: float) -> bool:
    """Return whether a process has ended within a time."""
    deadline = time.monotonic() + timeout_seconds
    while is_alive(process_id):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_worker_ends_when_its_server_is_stopped_for_longer_than_the_timeout() -> None:
    with server("0.5") as (process, worker_id):
        # Ten signs of life fit into the timeout: it goes on as long as they come.
        assert not wait_until_ended(worker_id, timeout_seconds=1.5)
        os.kill(process.pid, signal.SIGSTOP)
        assert wait_until_ended(worker_id, timeout_seconds=30)


def test_without_a_timeout_a_worker_outlives_a_stop() -> None:
    with server() as (process, worker_id):
        os.kill(process.pid, signal.SIGSTOP)
        assert not wait_until_ended(worker_id, timeout_seconds=1.5)
        os.kill(process.pid, signal.SIGCONT)


def test_a_stop_of_both_ends_nothing() -> None:
    with server("0.5") as (process, worker_id):
        for process_id in (process.pid, worker_id):
            os.kill(process_id, signal.SIGSTOP)
        time.sleep(1)
        for process_id in (process.pid, worker_id):
            os.kill(process_id, signal.SIGCONT)
        assert not wait_until_ended(worker_id, timeout_seconds=1)
