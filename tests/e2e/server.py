"""A real server process for tests: `stagebook serve` on free ports, with its data folder, its access key and its log.

    with run_server(tmp_path / "data") as server:
        stages = server.client()

Settings are given as on the command line: `run_server(data, media_processes="2")`. A folder can be started again:
that is how a test looks at what survived `server.kill()`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import URLError
from urllib.request import urlopen

import boto3
import msgspec
from botocore.config import Config

from stagebook.data_folder.secrets import DataFolder

Client: TypeAlias = Any
"""A boto3 client: its methods are made at run time, from the service model."""

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.02
REGION = "us-west-2"
ACCOUNT_ID = "123456789012"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An access key to sign with."""

    access_key_id: str
    secret_access_key: str


class ServerFailedError(Exception):
    """The server did not start or did not stop. The text holds its log."""


class RunningServer:
    """One server process. Ended by `stop` (as an operator would) or `kill` (as a crash would)."""

    def __init__(self, process: subprocess.Popen[bytes], *, data: Path, log_path: Path, endpoint_url: str) -> None:
        _, own = DataFolder(data).last_announced()
        self.process = process
        self.data = data
        self.log_path = log_path
        self.endpoint_url = endpoint_url
        self.key = Key(access_key_id=own.access_key_id, secret_access_key=own.secret_access_key)

    @property
    def log(self) -> str:
        """What the server has printed and logged so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def client(self, key: Key | None = None, *, region: str = REGION) -> Client:
        """Return a boto3 client that signs with `key`, the server's own unless told.

        It checks no input and tries nothing again, so that a test sees the server's own rules and first answers.
        """
        key = key or self.key
        return boto3.client(
            "ivs-realtime",
            endpoint_url=self.endpoint_url,
            region_name=region,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment in which any AWS client, the AWS CLI too, speaks to this server and to nothing else."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL_IVS_REALTIME": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.key.secret_access_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the server with a signal and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailedError(f"the server did not stop:\n{self.log}") from None

    def kill(self) -> None:
        """End the server as a crash or `kill -9` does."""
        self.process.kill()
        self.process.wait()


def start_server(data: Path, *, config: Path | None = None, **settings: str) -> RunningServer:
    """Start a server on the folder `data` and return when it is healthy; whoever calls must stop it.

    `config` is a TOML file. Raises ServerFailedError, with the log, when the server ends or is not up in time.
    """
    doors = dict.fromkeys(("listen", "rtmp_listen", "rtmps_listen"), "127.0.0.1:0")
    flags = {**doors, "data": str(data), **settings}
    command = [sys.executable, "-m", "stagebook.cli", "serve"]
    command += [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]
    command += [] if config is None else ["--config", str(config)]
    presence_path = DataFolder(data).presence_path
    presence_path.unlink(missing_ok=True)  # it would tell of the last run
    log_path = data.with_name(f"{data.name}.log")
    data.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STAGEBOOK_")}
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if presence_path.exists():
            endpoint_url = DataFolder(data).last_announced()[0].endpoint_url
            if _is_healthy(endpoint_url):
                return RunningServer(process, data=data, log_path=log_path, endpoint_url=endpoint_url)
        time.sleep(POLL_SECONDS)
    process.kill()
    process.wait()
    raise ServerFailedError(f"the server did not start (exit code {process.returncode}):\n{log_path.read_text()}")


def _is_healthy(endpoint_url: str) -> bool:
    try:
        with urlopen(f"{endpoint_url}/health", timeout=5) as answer:  # noqa: S310 - the server's own http address
            return bool(answer.status == 200)
    except URLError:
        return False


@contextmanager
def run_server(data: Path, *, config: Path | None = None, **settings: str) -> Iterator[RunningServer]:
    """Run a server for a `with` block, then stop it if the test has not."""
    server = start_server(data, config=config, **settings)
    try:
        yield server
    finally:
        server.stop()
