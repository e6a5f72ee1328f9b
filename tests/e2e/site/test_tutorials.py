"""Each tutorial, followed on a new server: its files, its commands and its pages."""

import os
import shutil
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path

import pytest
from playwright.async_api import Browser

from contrib.site.repository_pages import ROOT
from tests.e2e.browser.page_server import serve_pages
from tests.e2e.server import RunningServer, run_server
from tests.e2e.site.tutorial_blocks import FOLDER, Block, Shell, blocks, follow

pytestmark = [pytest.mark.site, pytest.mark.timeout(200)]

CLIENT = ROOT / "clients" / "js" / "stagebook-client.js"
PLAYS = "() => [...document.querySelectorAll('video')].some((each) => each.videoWidth && each.currentTime > 0.5)"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[RunningServer]:
    """A server whose data is where `stagebook serve` keeps it, below the folder of the tutorial."""
    with run_server(tmp_path / "stagebook-data") as running:
        yield running


@pytest.fixture
def shell(served: RunningServer, tmp_path: Path) -> Iterator[Shell]:
    """The reader's terminal, with the variables of AWS clients."""
    opened = Shell(tmp_path, served.environment, endpoint_url=served.endpoint_url)
    yield opened
    opened.close()


@pytest.mark.parametrize("tutorial", ["first-stage.md", "from-aws.md"])
def test_the_commands_work(tutorial: str, shell: Shell, tmp_path: Path) -> None:
    follow(blocks(tutorial), shell, tmp_path)


def test_the_tests_of_an_application_pass(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"PATH": os.environ["PATH"]}, endpoint_url="")
    try:
        follow(blocks("testing-your-app.md"), shell, tmp_path)
    finally:
        shell.close()


def test_the_encoder_publishes(shell: Shell, tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    follow(blocks("obs.md"), shell, tmp_path)


@pytest.mark.asyncio(loop_scope="session")
async def test_one_page_publishes_and_the_other_one_watches(shell: Shell, tmp_path: Path, browser: Browser) -> None:
    def is_last(block: Block) -> bool:
        return "list-stage-sessions" in block.text

    steps = list(blocks("browser-client.md"))
    shutil.copy(CLIENT, tmp_path)
    follow(iter([step for step in steps if step.language != "text" and not is_last(step)]), shell, tmp_path)
    context = await browser.new_context()
    with serve_pages(pages=tmp_path) as address:
        publisher, viewer = await context.new_page(), await context.new_page()
        await publisher.goto(f"{address}/pages/publish.html#{(tmp_path / 'ann.token').read_text().strip()}")
        await publisher.click("#start")
        await publisher.wait_for_function("() => document.getElementById('state').textContent === 'live'")
        await viewer.goto(f"{address}/pages/watch.html#{(tmp_path / 'bob.token').read_text().strip()}")
        await viewer.wait_for_function(PLAYS)
        follow(dropwhile(lambda block: not is_last(block), steps), shell, tmp_path)
        await context.close()


def test_every_tutorial_is_followed() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in FOLDER.glob("*.md") if f'"{path.name}"' not in source] == []
