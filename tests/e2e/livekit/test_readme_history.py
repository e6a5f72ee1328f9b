"""README's section on the history of a LiveKit server, command by command, with people in Chromium instead of `lk`."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser

from stagebook.media.livekit.livekit_access import LiveKitKey
from tests.e2e.livekit.livekit_client import open_people
from tests.e2e.livekit.livekit_node import free_ports, wait_until_listening
from tests.e2e.livekit.watching_server import wait_until_true
from tests.e2e.package.readme_session import README, readme_steps
from tests.go_programs import LIVEKIT, required

pytestmark = [pytest.mark.livekit, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]

SECTION = "The history of your LiveKit"
DEV_KEY = LiveKitKey(key="devkey", secret="secret")
_ROW = re.compile(r" \S+Z +(?P<event>\w+) +\w{12} +(?P<user>\w+) +(?:(?P<about>[A-Z_]+) +)?(?P<cause>[a-z]\S*) +st-")


def shell_lines(section: str) -> list[str]:
    """Return the lines of the `sh` blocks of a section of README."""
    text = README.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@contextmanager
def running(command: str, folder: Path, *, port: int, environment: dict[str, str]) -> Iterator[None]:
    """Run a command line in a shell until it is interrupted."""
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"exec env {command}"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        wait_until_listening(port, process, name=command)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def rows(table: str) -> Counter[tuple[str, ...]]:
    """Return the events of `stagebook events list`, without times and ids."""
    return Counter(
        (found["event"], found["user"], found["about"] or "", found["cause"]) for found in _ROW.finditer(table)
    )


# LiveKit's development mode has a short key.
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_each_command_does_what_readme_shows(tmp_path: Path, browser: Browser) -> None:
    livekit_port, tcp_port, udp_port, port = free_ports(4)
    programs = f"{Path(sys.executable).parent}:{required(LIVEKIT).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "HOME": str(tmp_path)}
    serving = {"STAGEBOOK_LISTEN": f"127.0.0.1:{port}", "STAGEBOOK_RTMP_LISTEN": "", "STAGEBOOK_RTMPS_LISTEN": ""}
    ports = f"{{port: {livekit_port}, rtc: {{tcp_port: {tcp_port}, udp_port: {udp_port}}}, "
    watch, livekit = (
        line.replace("7880", str(livekit_port)).replace("8080", str(port)).replace("'{", f"'{ports}")
        for line in shell_lines(SECTION)
    )
    with (
        running(livekit, tmp_path, port=livekit_port, environment=environment),
        running(watch, tmp_path, port=port, environment={**environment, **serving}),
    ):
        people = await open_people(browser, url=f"http://127.0.0.1:{livekit_port}", key=DEV_KEY)
        await people.join("lobby", "bob")
        await people.join("lobby", "ann", publishes=True)
        await people.leave("bob")
        await people.unpublish("ann")
        await people.leave("ann")

        def run(command: str) -> str:
            script = f'set -e; eval "$(stagebook env)"; {command}'
            done = subprocess.run(
                ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        steps = [step for step in readme_steps(SECTION) if "eval" not in step.command]
        (stages,) = (step for step in steps if "list-stages" in step.command)
        (events,) = (step for step in steps if "events list" in step.command)
        expected = rows(events.output)
        assert expected.total() == 6

        def listed_events() -> str:
            return run(events.command)

        await asyncio.to_thread(wait_until_true, lambda: rows(listed_events()) == expected, listed_events)
        heading = events.output.splitlines()[0].split()
        assert listed_events().split()[: len(heading)] == heading
        listed = run(stages.command)
        assert re.sub(r"(?<=livekit-)\S+|st-\S+|\s+", "", listed) == re.sub(
            r"(?<=livekit-)\S+|st-\S+|\s+", "", stages.output
        )
        for step in steps:
            if step not in (stages, events):
                assert run(step.command)
