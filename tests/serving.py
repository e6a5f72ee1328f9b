"""A `stagebook serve` process for tests that use the server over the network."""

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

COMMAND = (sys.executable, "-m", "stagebook")
FREE_PORTS = tuple(f"--{setting}=127.0.0.1:0" for setting in ("listen", "rtmp-listen", "rtmps-listen"))
DEADLINE_SECONDS = 60
ONE_ATTEMPT = Config(retries={"total_max_attempts": 1})
_LISTENING = re.compile(r"is listening on (http://\S+)")


def clean_environment(**variables: str) -> dict[str, str]:
    """Return the environment of this process without settings of Stagebook and AWS, but with `variables`."""
    foreign = ("STAGEBOOK_", "AWS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | variables


def run_command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a `stagebook` command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


class ServerProcess:
    """`stagebook serve` on free ports. Entering waits until the server is ready; leaving kills it if it still runs."""

    url: str
    program: tuple[str, ...] = COMMAND

    def __init__(self, data: Path, *arguments: str, **variables: str) -> None:
        self.data = data
        self._lines: list[str] = []
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [*self.program, "serve", *FREE_PORTS, "--data", str(data), *arguments],
            env=clean_environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        if not self._ready.wait(DEADLINE_SECONDS) or not hasattr(self, "url"):
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
        """Everything the server has written so far, on both streams."""
        return "".join(self._lines)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        self._process.send_signal(number)

    @property
    def process_id(self) -> int:
        """The process id of the server."""
        return self._process.pid

    def is_running(self) -> bool:
        """Return whether the server has not ended yet."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait until the server has ended; return its exit code. Kills a server that does not end."""
        try:
            code = self._process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not end:\n{self.output}") from None
        self._reader.join()
        return code

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop the server with a signal; return its exit code."""
        self.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """Kill the server, as in a crash."""
        self._process.kill()
        self.wait()

    def client(self, **credentials: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """Return a boto3 client with the server's access key. `credentials` override arguments of boto3."""
        make: Any = boto3.client  # boto3-stubs accept only literal arguments
        return make("ivs-realtime", config=ONE_ATTEMPT, **(self.credentials() | credentials))

    def credentials(self) -> dict[str, str]:
        """Return the endpoint, region and access key of the server as arguments of boto3."""
        address, access_key = DataFolder(self.data).read_server_access()
        return {
            "endpoint_url": address.endpoint_url,
            "aws_access_key_id": access_key.access_key_id,
            "aws_secret_access_key": access_key.secret_access_key,
            "region_name": address.region,
        }

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._lines.append(line)
                if found := _LISTENING.search(line):
                    self.url = found[1]
                if "server started" in line:
                    self._ready.set()
        self._ready.set()
