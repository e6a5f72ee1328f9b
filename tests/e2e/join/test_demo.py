"""`stagebook demo`, as a user runs it."""

import subprocess
import sys


def test_the_demo_shows_the_events_of_both() -> None:
    command = [sys.executable, "-m", "stagebook.cli", "demo"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "they moved; the tone was heard" in run.stdout
    rows = [line.split() for line in run.stdout.splitlines() if "(publisher)" in line or "(viewer)" in line]
    named = [(row[3], row[4]) for row in rows]
    assert named == [
        ("(publisher)", "LEFT"),
        ("(publisher)", "PUBLISH_STOPPED"),
        ("(publisher)", "PUBLISH_STARTED"),
        ("(publisher)", "JOINED"),
        ("(viewer)", "LEFT"),
        ("(viewer)", "SUBSCRIBE_STOPPED"),
        ("(viewer)", "SUBSCRIBE_STARTED"),
        ("(viewer)", "JOINED"),
    ]
