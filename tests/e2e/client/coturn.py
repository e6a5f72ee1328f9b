"""A TURN server: Debian's coturn, on a free port of 127.0.0.1, with credentials that it derives from a secret."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"
SECRET = "a-secret-of-the-tests"
START_TIMEOUT_SECONDS = 20.0
POLL_SECONDS = 0.05


class Coturn:
    """A running server. UDP and TCP have the same port."""

    def __init__(self, port: int, log_path: Path) -> None:
        self.port = port
        self._log_path = log_path

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")


def find_coturn() -> str | None:
    """Return the path of an installed coturn; None if there is none."""
    return shutil.which("turnserver")


@contextlib.contextmanager
def running_coturn(path: str, folder: Path) -> Iterator[Coturn]:
    """Run a server whose data is in `folder`."""
    turn = Coturn(_free_port(), folder / "coturn.log")
    command = [path, "-n", "--listening-ip", HOST, "--relay-ip", HOST, "--listening-port", str(turn.port)]
    command += ["--use-auth-secret", "--static-auth-secret", SECRET, "--realm", "stagebook.test"]
    # Relays to the media engine and nowhere else, as docs/operating.md recommends.
    command += ["--denied-peer-ip", "0.0.0.0-255.255.255.255", "--allowed-peer-ip", HOST]
    command += ["--allow-loopback-peers", "--no-cli", "--no-tls", "--no-dtls", "--fingerprint", "--verbose"]
    command += ["--log-file", "stdout", "--simple-log", "--pidfile", str(folder / "coturn.pid")]
    command += ["--userdb", str(folder / "coturn.sqlite")]
    with (folder / "coturn.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_listening(turn, process)
        yield turn
    finally:
        process.terminate()
        process.wait()


def _wait_until_listening(turn: Coturn, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, turn.port), 1):
            return
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"coturn does not listen:\n{turn.log}")


def _free_port() -> int:
    """A port that is free for TCP. coturn takes it for UDP as well."""
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
