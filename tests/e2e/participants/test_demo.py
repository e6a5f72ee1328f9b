"""The command `stagebook demo`."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.server import RunningServer

COMMAND = [sys.executable, "-m", "stagebook", "demo"]


def run(*options: str, environment: Mapping[str, str] | None = None) -> str:
    completed = subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, timeout=100, check=False, env=environment
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def test_the_demo_prints_the_events_of_publisher_and_viewer_and_keeps_its_recording() -> None:
    output = run()
    assert "the bar moved; the tone arrived" in output
    rows = [line.split() for line in output.splitlines() if "(publisher)" in line or "(viewer)" in line]
    assert [(row[3], row[4]) for row in rows] == [
        ("(publisher)", "LEFT"),
        ("(publisher)", "PUBLISH_STOPPED"),
        ("(publisher)", "PUBLISH_STARTED"),
        ("(publisher)", "JOINED"),
        ("(viewer)", "LEFT"),
        ("(viewer)", "SUBSCRIBE_STOPPED"),
        ("(viewer)", "SUBSCRIBE_STARTED"),
        ("(viewer)", "JOINED"),
    ]
    assert [line.split()[1] for line in output.splitlines() if "  RECORDING_" in line] == [
        "RECORDING_STARTED",
        "RECORDING_ENDED",
    ]
    playlist = Path(output.splitlines()[-1].removeprefix("The recording: "))
    kept = next(folder for folder in playlist.parents if folder.name.startswith("stagebook-demo-recording-"))
    try:
        assert (playlist.parent / "high" / "0.mp4").stat().st_size > 0
    finally:
        shutil.rmtree(kept)


@pytest.mark.slow
def test_the_demo_uses_a_running_server(server: RunningServer) -> None:
    output = run("--endpoint-url", server.endpoint_url, environment=server.environment)
    assert "Starting a server" not in output
    assert "the bar moved; the tone arrived" in output


def test_an_unreachable_server_is_reported_without_a_traceback() -> None:
    completed = subprocess.run(
        [*COMMAND, "--endpoint-url", "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "y",
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_MAX_ATTEMPTS": "1",
        },
    )
    assert completed.returncode == 1
    assert "http://127.0.0.1:9" in completed.stderr
    assert "Traceback" not in completed.stderr
