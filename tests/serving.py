"""A real server in a process of its own, as `stagebook serve` starts it, for tests that speak to it over the wire."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from stagebook.data_folder.secrets import DataFolder

COMMAND = (sys.executable, "-m", "stagebook.cli")
FREE_PORTS = tuple(f"--{door}=127.0.0.1:0" for door in ("listen", "rtmp-listen", "rtmps-listen"))
DEADLINE_SECONDS = 60
ONE_ATTEMPT = Config(retries={"total_max_attempts": 1})
_LISTENING = re.compile(r"is listening on (http://\S+)")


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without anybody's settings, and with `variables`."""
    foreign = ("STAGEBOOK_", "AWS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | variables


def run_command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one `stagebook` command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


class ServerProcess:
    """`stagebook serve` on free ports. Entering waits until it serves; leaving ends it."""

    url: str

    def __init__(self, data: Path, *arguments: str, **variables: str) -> None:
        self.data = data
        self._lines: list[str] = []
        self._printed = threading.Event()
        self._process = subprocess.Popen(
            [*COMMAND, "serve", *FREE_PORTS, "--data", str(data), *arguments],
            env=clean_environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        if not self._printed.wait(DEADLINE_SECONDS) or not hasattr(self, "url"):
            self.kill()
            raise AssertionError(f"the server did not start:\n{self.output}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_running():
            self.kill()
        self._reader.join()

    @property
    def output(self) -> str:
        """Everything it wrote so far, on both streams."""
        return "".join(self._lines)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    @property
    def process_id(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        code = self._process.wait(DEADLINE_SECONDS)
        self._reader.join()
        return code

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; return its exit code."""
        self.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self.wait()

    def client(self, **credentials: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """Return a boto3 client that signs with the server's own key, or with these credentials."""
        session = boto3.Session()
        make: Any = session.client  # its type knows each service by a literal, not keyword arguments that are composed
        return make("ivs-realtime", config=ONE_ATTEMPT, **(self.credentials() | credentials))

    def credentials(self) -> dict[str, str]:
        """Return how to reach it and its own key, as arguments of boto3."""
        presence, access_key = DataFolder(self.data).last_announced()
        return {
            "endpoint_url": presence.endpoint_url,
            "aws_access_key_id": access_key.access_key_id,
            "aws_secret_access_key": access_key.secret_access_key,
            "region_name": presence.region,
        }

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._lines.append(line)
                if found := _LISTENING.search(line):
                    self.url = found[1]
                if "server started" in line:
                    self._printed.set()
        self._printed.set()
