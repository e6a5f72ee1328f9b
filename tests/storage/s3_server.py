"""A real S3 server for tests: versitygw, which keeps buckets in a folder."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stagebook.storage.storage_settings import S3Storage
from tests.go_programs import S3_SERVER, required

REGION = "us-west-2"
ROOT_KEY = "rootaccesskey"
ROOT_SECRET = "rootsecretaccesskey"
START_SECONDS = 30.0


class S3Server:
    """A running server. Its buckets are the folders below `folder`."""

    def __init__(self, program: Path, folder: Path, *, port: int) -> None:
        self.folder = folder / "buckets"
        self._program = program
        self._users = folder / "users"
        self.port = port
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._users.mkdir(exist_ok=True)

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        arguments = ("--port", f"127.0.0.1:{self.port}", "--region", REGION, "--quiet", "--iam-dir", self._users)
        self._process = subprocess.Popen(
            (self._program, *arguments, "posix", self.folder),
            env={**os.environ, "ROOT_ACCESS_KEY_ID": ROOT_KEY, "ROOT_SECRET_ACCESS_KEY": ROOT_SECRET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, "versitygw has exited"
                assert time.monotonic() < deadline, "versitygw does not listen"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Kill the server. Its buckets stay."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def make_bucket(self, name: str) -> Path:
        """Make a bucket of the root user, and return its folder."""
        path = self.folder / name
        path.mkdir()
        return path

    def add_user(self, access_key_id: str, secret: str) -> None:
        """Add a user, who may use no bucket of the root user."""
        root = ("--access", ROOT_KEY, "--secret", ROOT_SECRET, "--endpoint-url", self.endpoint_url, "--region", REGION)
        user = ("--access", access_key_id, "--secret", secret, "--role", "user")
        command = (self._program, "admin", "--allow-insecure", *root, "create-user", *user)
        subprocess.run(command, check=True, capture_output=True)

    def storage(self, *, key: str = ROOT_KEY, secret: str = ROOT_SECRET, timeout_seconds: float = 5.0) -> S3Storage:
        """Return the settings of a store on this server."""
        return S3Storage(
            region=REGION,
            endpoint_url=self.endpoint_url,
            access_key_id=key,
            secret_access_key=secret,
            timeout_seconds=timeout_seconds,
        )


@contextmanager
def running_s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server with its buckets below `folder`."""
    program = required(S3_SERVER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = S3Server(program, folder, port=port)
    try:
        server.start()
        yield server
    finally:
        server.stop()
