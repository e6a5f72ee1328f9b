"""A real server process for tests: `stagebook serve` on free ports.

    with run_server(tmp_path / "data") as server:
        ivs = server.client()

Settings are passed as keyword arguments, with the strings of the command line: `run_server(data, media_processes="2")`.
A second server can run on the same data folder, so a test can check what the book holds after `server.kill()`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.request import urlopen

import boto3
import msgspec
from botocore.config import Config

from stagebook.data_folder.secrets import DataFolder
from tests.audit.sound_book import require_sound

Client: TypeAlias = Any
"""A boto3 client. Its type is Any because botocore generates its methods from the service model at run time."""

default_config: list[Path] = []
"""The TOML file of all servers that are started without one: with another media engine, for instance. At most one."""
on_started: list[Callable[["RunningServer"], None]] = []
"""Called with each server that has started."""

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.02
REGION = "us-west-2"
ACCOUNT_ID = "123456789012"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An access key, with which a client signs its requests."""

    access_key_id: str
    secret_access_key: str


class ServerFailedError(Exception):
    """The server did not start or did not stop. The message contains its log."""


class RunningServer:
    """One server process, until `stop` shuts it down or `kill` ends it like a crash."""

    def __init__(self, process: subprocess.Popen[bytes], *, data: Path, log_path: Path, endpoint_url: str) -> None:
        _, access_key = DataFolder(data).read_server_access()
        self.process = process
        self.data = data
        self.log_path = log_path
        self.endpoint_url = endpoint_url
        self.key = Key(access_key_id=access_key.access_key_id, secret_access_key=access_key.secret_access_key)

    @property
    def log(self) -> str:
        """The output of the server so far: what it printed and logged."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def client(self, key: Key | None = None, *, region: str = REGION) -> Client:
        """Return a boto3 client that signs with `key`, by default with the access key that the server created.

        It neither validates input nor retries, so that a test sees the server's own validation and its first response.
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
        """Environment variables with which AWS clients, including the AWS CLI, call this server and no other."""
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
        """Send the server a signal, wait for its end, and return its exit code.

        Kills it and raises ServerFailedError if it runs for longer than STOP_TIMEOUT_SECONDS.
        """
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailedError(f"the server did not stop:\n{self.log}") from None

    def kill(self) -> None:
        """End the server with SIGKILL, without a shutdown."""
        self.process.kill()
        self.process.wait()


def start_server(
    data: Path,
    *,
    config: Path | None = None,
    program: str = "stagebook",
    command_words: str = "serve",
    flags: str = "",
    **settings: str,
) -> RunningServer:
    """Start a server on the data folder `data` and return it when `/health` reports 200. The caller must stop it.

    `config` is a TOML file; `program` is the module to run, and `command_words` its command; `settings` are command
    line options, and `flags` those without a value, such as `--testing`. The log is appended to `<data>.log` beside the
    folder. Raises ServerFailedError when the server exits or is not healthy within START_TIMEOUT_SECONDS.
    """
    sockets = ("listen", "rtmp_listen", "rtmps_listen") if command_words == "serve" else ("listen",)
    free_ports = dict.fromkeys(sockets, "127.0.0.1:0")
    options = {**free_ports, "data": str(data), **settings}
    command = [sys.executable, "-m", program, *command_words.split()]
    command += [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    for path in default_config if config is None else [config]:
        command += ["--config", str(path)]
    command += flags.split()
    presence_path = DataFolder(data).server_address_path
    presence_path.unlink(missing_ok=True)  # a previous run may have left it
    log_path = data.with_name(f"{data.name}.log")
    data.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STAGEBOOK_")}
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if presence_path.exists():
            endpoint_url = DataFolder(data).read_server_access()[0].endpoint_url
            if _is_healthy(endpoint_url):
                server = RunningServer(process, data=data, log_path=log_path, endpoint_url=endpoint_url)
                for call in on_started:
                    call(server)
                return server
        time.sleep(POLL_SECONDS)
    process.kill()
    process.wait()
    raise ServerFailedError(f"the server did not start (exit code {process.returncode}):\n{log_path.read_text()}")


def _is_healthy(endpoint_url: str) -> bool:
    try:
        with urlopen(f"{endpoint_url}/health", timeout=5) as response:  # noqa: S310 - the URL is the test server's
            return bool(response.status == 200)
    except OSError:  # also a late response: a busy machine may take longer than the timeout
        return False


@contextmanager
def run_server(
    data: Path,
    *,
    config: Path | None = None,
    program: str = "stagebook",
    command_words: str = "serve",
    flags: str = "",
    **settings: str,
) -> Iterator[RunningServer]:
    """Run a server for the duration of a `with` block, and check the rules of its book at the end.

    The arguments are those of `start_server`.
    """
    server = start_server(data, config=config, program=program, command_words=command_words, flags=flags, **settings)
    try:
        yield server
    finally:
        server.stop()
    require_sound(DataFolder(data).book_path)


@contextmanager
def run_unchecked_server(data: Path, **settings: str) -> Iterator[RunningServer]:
    """Run a server on a book that was filled with random events. The rules of the book are not checked."""
    server = start_server(data, config=None, **settings)
    try:
        yield server
    finally:
        server.stop()
