"""The start and the end of a server process beside the process of the tests.

The parent makes a temporary folder and starts `stagebook.testing.server_process` with two pipes:

* its standard input, which the parent keeps open. The end of this pipe ends the server and deletes the folder. The
  system closes it when the parent dies, also when that is killed, so no server outlives its tests.
* its standard output, on which the server writes when it accepts connections. The parent waits for that line.

The log goes to a file in the folder.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from stagebook.testing.testing_errors import ServerNotStartedError

MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - its subfolders have unguessable names, and are their user's alone
MEMORY_BYTES = 256 * 1024 * 1024
"""A folder in memory needs this much space. Each event is synced, which takes milliseconds on a disk."""
STOP_TIMEOUT_SECONDS = 15.0
LOG_END_BYTES = 4_000
FREE_PORTS = {"listen": "127.0.0.1:0", "rtmp_listen": "127.0.0.1:0", "rtmps_listen": "127.0.0.1:0"}
LOG_NAME = "server.log"
_FOREIGN = ("STAGEBOOK_", "PYTHONWARNINGS")
"""Prefixes of variables that are not for this server: settings of another one, and what the tests' warnings become."""


class _Address(msgspec.Struct, frozen=True, kw_only=True):
    """What the server writes to `server.json`."""

    endpoint_url: str
    region: str


class ServerStart:
    """A server process: it runs from the constructor to `end`."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """`settings` are those of the server in the form of the command line. Without them the ports are free ones."""
        self.folder = Path(tempfile.mkdtemp(prefix="stagebook-testing-", dir=_parent_folder()))
        self._log: BinaryIO = (self.folder / LOG_NAME).open("w+b")
        values = {**FREE_PORTS, **settings, "data": str(self.folder)}
        self._process = subprocess.Popen(  # noqa: S603 - the arguments are a test's own
            [sys.executable, "-P", "-m", "stagebook.testing.server_process", json.dumps(values)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)},
            start_new_session=True,  # Ctrl-C reaches the tests, which then end the server
        )

    @property
    def process_id(self) -> int:
        """The process id of the server."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has logged. Its file may be deleted already; it is read by its descriptor."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")

    def wait(self) -> tuple[str, str]:
        """Wait until the server is ready; return its URL and region. Raises ServerNotStartedError."""
        line = b"" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            message = f"the server did not start:\n{self.log[-LOG_END_BYTES:]}"
            self.end()
            raise ServerNotStartedError(message)
        address = msgspec.json.decode((self.folder / "server.json").read_bytes(), type=_Address)
        return address.endpoint_url, address.region

    def end(self) -> None:
        """End the server and delete its folder. Idempotent."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _parent_folder() -> Path | None:
    """Return the folder for temporary folders: None is the one of the system, or of TMPDIR if that is set."""
    if "TMPDIR" in os.environ or not os.access(MEMORY_FOLDER, os.W_OK):
        return None
    return MEMORY_FOLDER if shutil.disk_usage(MEMORY_FOLDER).free >= MEMORY_BYTES else None
