"""A writer whose process was stopped goes on to renew its run, which tells it that others have taken its accounts."""

import ctypes
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="directs a signal at a thread of another process")
def test_a_signal_after_the_timeout_does_not_end_the_renewals() -> None:
    process = subprocess.Popen(
        (sys.executable, "-m", "tests.book.tables.writer.renewing_writer"),
        cwd=Path(__file__).parents[4],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "renewed\n"
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.5)  # More than the timeout of the wait, which is over when the process goes on.
            for task in Path(f"/proc/{process.pid}/task").iterdir():
                if int(task.name) != process.pid:
                    assert ctypes.CDLL(None).tgkill(process.pid, int(task.name), int(signal.SIGUSR1)) == 0
            process.send_signal(signal.SIGCONT)
            # A line may have waited in the pipe; these are more than that.
            assert [process.stdout.readline() for _ in range(5)] == ["renewed\n"] * 5
        finally:
            process.kill()
