"""A server for the demo: a child process on a free loopback port, with a temporary data folder."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec

from stagebook.data_folder.secrets import DataFolder

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 20.0
POLL_SECONDS = 0.1


class ServerFailedError(Exception):
    """The server did not start. The message contains the end of its log."""


class ServerAccess(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of an AWS client. A member that is None is taken from the environment of the client.

    `recordings` is the folder of the recordings of a temporary server.
    """

    endpoint_url: str
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    recordings: Path | None = None


@contextlib.contextmanager
def temporary_server() -> Iterator[ServerAccess]:
    """Start a server and yield its access data. Leaving the context stops it. Raises ServerFailedError."""
    with tempfile.TemporaryDirectory(prefix="stagebook-demo-") as name:
        folder = Path(name)
        log_path = folder / "server.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - the arguments are not user input
                [
                    *(sys.executable, "-m", "stagebook", "serve"),
                    *("--listen", "127.0.0.1:0", "--rtmp-listen", "", "--rtmps-listen", ""),
                    *("--data", str(folder / "data")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,  # Ctrl-C must reach only the demo, which closes its connections first
            )
            try:
                yield _wait_until_healthy(process, DataFolder(folder / "data"), log_path)
            finally:
                _stop(process)


def _environment() -> dict[str, str]:
    """Return the environment of this process without settings of Stagebook."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STAGEBOOK_")}


def _wait_until_healthy(process: "subprocess.Popen[bytes]", folder: DataFolder, log_path: Path) -> ServerAccess:
    deadline_seconds = time.monotonic() + START_TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline_seconds:
        if folder.server_address_path.exists():
            address, access_key = folder.read_server_access()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{address.endpoint_url}/health").status_code == 200:
                    return ServerAccess(
                        endpoint_url=address.endpoint_url,
                        region=address.region,
                        access_key_id=access_key.access_key_id,
                        secret_access_key=access_key.secret_access_key,
                        recordings=folder.recordings_path,
                    )
        time.sleep(POLL_SECONDS)
    raise ServerFailedError("the server did not start:\n" + log_path.read_text(errors="replace")[-2_000:])


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
