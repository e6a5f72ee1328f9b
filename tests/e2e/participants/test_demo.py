"""`stagebook demo`, as a user runs it."""

import subprocess
import sys
from collections.abc import Mapping

from tests.e2e.server import RunningServer

COMMAND = [sys.executable, "-m", "stagebook.cli", "demo"]


def run(*options: str, environment: Mapping[str, str] | None = None) -> str:
    ended = subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, timeout=100, check=False, env=environment
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_demo_shows_the_events_of_both() -> None:
    shown = run()
    assert "they moved; the tone was heard" in shown
    rows = [line.split() for line in shown.splitlines() if "(publisher)" in line or "(viewer)" in line]
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


def test_the_demo_runs_against_a_server_that_is_there(server: RunningServer) -> None:
    shown = run("--endpoint-url", server.endpoint_url, environment=server.environment)
    assert "Starting a server" not in shown
    assert "they moved; the tone was heard" in shown


def test_a_server_that_cannot_be_reached_is_told_of() -> None:
    ended = subprocess.run(
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
    assert ended.returncode == 1
    assert "http://127.0.0.1:9" in ended.stderr
    assert "Traceback" not in ended.stderr
