"""A program of the cluster as a child process, which writes to a log file of its own."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
_LOG_LINES: Final = 20
_FIRST_PORT: Final = 10_000
_END_PORT: Final = 32_768


class ChildFailedError(Exception):
    """A program did not start, or ended. The message has the end of its log."""


class ChildProcess:
    """A program that `start` starts, and that can be started again after it has ended."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str],
        folder: Path,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self._command = list(map(str, command))
        self._log = log
        self._environment = dict(environment)
        self._folder = folder
        self._user = user
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int:
        """The process id of the program. Raises ChildFailedError before the start."""
        if self._process is None:
            raise ChildFailedError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code (minus the signal that ended it); None while the program runs or before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the program. Raises OSError if it cannot be run."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C in the terminal ends the script, which then ends its children in their order.
                start_new_session=True,
                user=self._user,
                extra_groups=None if self._user is None else (),
            )

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Wait until the program is ready. Raises ChildFailedError if it ends before, or after START_SECONDS."""
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if self.exit_code is not None:
                raise self.failure(f"ended with exit code {self.exit_code}")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready within {START_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)

    def failure(self, what: str) -> ChildFailedError:
        """Return the error with what has happened, and the end of the log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        return ChildFailedError("\n".join([f"{self.name} {what}; the end of {self._log}:", *lines]))

    def ask_to_stop(self) -> None:
        """Send the signal that makes the program end in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self._stop_signal)

    def stop(self) -> None:
        """End the program in order; kill it if it has not ended within STOP_SECONDS."""
        self.ask_to_stop()
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def accepts_connections(port: int) -> bool:
    """Return whether a program listens on a TCP port of the loopback interface."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port(chosen: int = 0) -> int:
    """Return `chosen`, or a free TCP port if it is 0.

    The port is below those that systems take for outgoing connections (32,768 and up): one of these could be in use by
    the time a program listens on it.
    """
    while not chosen:
        candidate = _FIRST_PORT + secrets.randbelow(_END_PORT - _FIRST_PORT)
        with suppress(OSError), socket.create_server(("127.0.0.1", candidate)):
            chosen = candidate
    return chosen


def environment_of_children() -> dict[str, str]:
    """Return the environment without settings of Stagebook and AWS, which would change what the nodes do."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("STAGEBOOK_", "AWS_"))}
