"""The unmodified AWS SDK for JavaScript: its signatures, paths, paginators and typed errors."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.e2e.server import RunningServer

SOURCES = Path(__file__).parent / "javascript"
NPM_TIMEOUT_SECONDS = 100


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script and the installed SDK. Skips the test if Node.js or the package is not available."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js and npm are not installed")
    folder = tmp_path_factory.mktemp("javascript") / "session"
    shutil.copytree(SOURCES, folder)
    command = [npm, "install", "--silent", "--no-audit", "--no-fund"]
    completed = subprocess.run(command, cwd=folder, timeout=NPM_TIMEOUT_SECONDS, capture_output=True, check=False)
    if completed.returncode != 0:
        pytest.skip(f"npm could not install the SDK: {completed.stderr.decode()[:200]}")
    return folder


def test_a_session_with_the_javascript_sdk(server: RunningServer, installed: Path) -> None:
    environment = {**os.environ, **server.environment}
    # The paginator needs at least two stages to request a second page.
    server.client().create_stage()
    completed = subprocess.run(
        ["node", "session.mjs"], cwd=installed, env=environment, timeout=60, capture_output=True, check=False
    )
    assert completed.returncode == 0, completed.stderr.decode()

    steps: dict[str, Any] = {
        line["step"]: line["result"] for line in map(msgspec.json.decode, completed.stdout.decode().splitlines())
    }

    assert steps == {
        "create": {"name": "js", "user": "ann"},
        "expires": True,
        "tags": {"x": "é y"},
        "pages": {"several": True, "found": True},
        "events": [],
        "missing": "ResourceNotFoundException",
        "invalid": "ValidationException",
    }
