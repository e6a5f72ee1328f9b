"""Bearer keys that `stagebook keys` makes, and requests with them."""

import time

import httpx

from tests.e2e.server import RunningServer
from tests.serving import run_command

NOTICED_SECONDS = 10.0
"""Far above the second in which a server must notice a change."""


def create_key(server: RunningServer, role: str, *arguments: str) -> str:
    """Make a key with the command line and return its text."""
    ended = run_command("keys", "create", "--role", role, "--data", str(server.data), *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def revoke_key(server: RunningServer, key: str) -> None:
    """Revoke a key with the command line."""
    ended = run_command("keys", "revoke", key, "--data", str(server.data))
    assert ended.returncode == 0, ended.stderr


def get(server: RunningServer, path: str, *, key: str, **headers: str) -> httpx.Response:
    """Send a GET request with a key."""
    return httpx.get(server.endpoint_url + path, headers={"Authorization": f"Bearer {key}", **headers})


def wait_for_status(server: RunningServer, path: str, *, key: str, status: int) -> httpx.Response:
    """Repeat a GET request until its response has this status."""
    deadline = time.monotonic() + NOTICED_SECONDS
    while (response := get(server, path, key=key)).status_code != status:
        assert time.monotonic() < deadline, f"still {response.status_code}: {response.text}"
        time.sleep(0.05)
    return response
