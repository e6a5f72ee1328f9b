"""The examples of the live tail in docs/watch.md: curl, a page in Chromium, and a Python program that is killed."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.e2e.browser.browser_page import BrowserPage
from tests.e2e.server import RunningServer, run_server
from tests.e2e.watch.event_maker import EventMaker, recorded_events
from tests.e2e.watch.test_event_stream import ready_key

PAGE = Path(__file__).parents[3] / "docs" / "watch.md"
DEADLINE_SECONDS = 30
POLL_SECONDS = 0.02


def documented(language: str) -> str:
    """Return the first example of the section in this language."""
    section = PAGE.read_text(encoding="utf-8").split("## Live tail\n")[1].split("\n## ")[0]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


class RunningExample:
    """A process whose lines are read as it writes them."""

    def __init__(self, command: list[str], *, folder: Path, **variables: str) -> None:
        self._lines: list[str] = []
        self._arrived = threading.Condition()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        """Wait until so many lines match a pattern; return them."""
        with self._arrived:
            found = self._arrived.wait_for(lambda: len(self._matching(pattern)) >= count, DEADLINE_SECONDS)
            assert found, self._lines
            return self._matching(pattern)

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _matching(self, pattern: str) -> list[str]:
        return [line for line in self._lines if re.search(pattern, line)]

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                with self._arrived:
                    self._lines.append(line)
                    self._arrived.notify()


@contextmanager
def running(command: list[str], *, folder: Path, **variables: str) -> Iterator[RunningExample]:
    """Run a command for the duration of a `with` block."""
    example = RunningExample(command, folder=folder, **variables)
    try:
        yield example
    finally:
        example.kill()


@pytest.fixture
def maker(server: RunningServer) -> Iterator[EventMaker]:
    """Makes events of the server."""
    maker = EventMaker(server)
    yield maker
    maker.close()


def test_the_command_of_curl(server: RunningServer, maker: EventMaker, tmp_path: Path) -> None:
    command = documented("console").splitlines()[0].removeprefix("$ ").replace("http://127.0.0.1:8080", "$URL")
    command = command.replace("name=JOINED", "name=PUBLISH_ERROR")
    with running(["bash", "-c", command], folder=tmp_path, KEY=ready_key(server), URL=server.endpoint_url) as curl:
        curl.wait_for("^retry: ")
        maker.make(1)
        (line,) = curl.wait_for("^data: ")
    assert recorded_events(server.data)[-1].event_id in line


def test_the_program_in_python_goes_on_where_it_was_killed(
    server: RunningServer, maker: EventMaker, tmp_path: Path
) -> None:
    program = tmp_path / "follow.py"
    program.write_text(documented("python"))
    variables = {"STAGEBOOK_URL": server.endpoint_url, "STAGEBOOK_KEY": ready_key(server)}
    before = len(recorded_events(server.data))
    with running([sys.executable, str(program)], folder=tmp_path, **variables) as first:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (tmp_path / "last-event-id").exists() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        maker.make(2)
        lines = first.wait_for("PUBLISH_ERROR", 2)
    maker.make(2)
    with running([sys.executable, str(program)], folder=tmp_path, **variables) as second:
        second.wait_for("PUBLISH_ERROR", 2)
        maker.make(1)
        last = recorded_events(server.data)[-1].participant_id
        second.wait_for(last)
        lines += second.wait_for("PUBLISH_ERROR", 3)
    participants = [each.participant_id for each in recorded_events(server.data)[before:]]
    # The second program may get the last event of the first one again, which was killed before it stored the position.
    assert [line.split()[-1] for line in lines][:2] == participants[:2]
    assert [line.split()[-1] for line in lines][-3:] == participants[-3:]


@pytest.mark.asyncio(loop_scope="session")
async def test_the_script_of_a_page(tmp_path: Path, browser: Browser) -> None:
    with run_server(tmp_path / "data", auth="off") as server:
        maker = EventMaker(server)
        context = await browser.new_context()
        page = BrowserPage(context, await context.new_page())
        logged: list[str] = []
        page.page.on("console", lambda message: logged.append(message.text))
        await page.page.goto(server.endpoint_url)
        await page.run(f"() => {{ {documented('javascript')} window.source = source; }}")
        await page.wait_until("() => window.source.readyState === EventSource.OPEN")
        maker.make(1)
        async with page.page.expect_console_message(lambda message: "STOPPING" in message.text):
            server.stop()
        maker.close()
        await context.close()
        (event,) = recorded_events(server.data)
    (line,) = [line for line in logged if "PUBLISH_ERROR" in line]
    assert line.endswith(f"PUBLISH_ERROR INVALID_VIDEO_CODEC {event.event_id}")
