"""The web page on Amazon's Web Broadcast SDK, in Chromium, with the backend in Python and a running server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from playwright.async_api import Browser

from tests.e2e.browser.browser_page import BrowserPage, PageOpener
from tests.e2e.browser.page_server import serve_pages
from tests.e2e.examples.example_backends import EXAMPLES, PYTHON, build, running
from tests.e2e.sdk.sdk_packages import CACHE, NEWEST, PACKAGE, SdkUnavailableError, bundle_name, install
from tests.e2e.server import RunningServer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.examples]

FOLDER = EXAMPLES / "web-ivs-sdk"
STAGE = "page"
SHOWS_BOTH = """
    () => [...document.querySelectorAll("video")].filter((each) => each.videoWidth && each.currentTime > 1).length === 2
"""


class ExamplePage(BrowserPage):
    """The example in a tab."""

    diagnosis = "() => document.body.innerText"

    async def join(self, backend_url: str, *, user_id: str, role: str) -> None:
        """Fill in the form, and join."""
        for name, value in (("backend", backend_url), ("stage", STAGE), ("userId", user_id)):
            await self.page.fill(f"[name={name}]", value)
        await self.page.select_option("[name=role]", role)
        await self.page.click("#join")
        await self.wait_until("() => document.getElementById('state').textContent === 'connected'")

    async def leave(self) -> list[str]:
        """Leave the stage. Returns the names of the events that the page shows, with remote participants."""
        await self.page.click("#leave")
        await self.wait_until("() => document.getElementById('state').textContent === 'disconnected'")
        await self.page.click("#read")
        await self.wait_until("() => document.getElementById('events').textContent.includes(' LEFT')")
        lines: list[str] = await self.run(
            "() => [...document.querySelectorAll('#events li')].map((li) => li.textContent)"
        )
        return [line.partition(" ")[2] for line in lines]


class ExamplePages(PageOpener):
    """Opens the example."""

    expected_error = "live-video.net"  # the page forbids the SDK's telemetry


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The URL of the example, with the SDK where npm puts it."""
    try:
        install(NEWEST)
    except SdkUnavailableError as error:
        pytest.skip(str(error))
    site = shutil.copytree(FOLDER, tmp_path / "site", ignore=shutil.ignore_patterns("node_modules"))
    distributed = site / "node_modules" / PACKAGE / "dist"
    distributed.mkdir(parents=True)
    shutil.copy(CACHE / bundle_name(NEWEST), distributed / f"{PACKAGE}.js")
    with serve_pages(site=site) as url:
        yield url


@pytest.fixture
def backend_url(server: RunningServer, site: str, tmp_path: Path) -> Iterator[str]:
    with running(build(PYTHON, tmp_path / "built"), server.environment, origin=site) as url:
        yield url


async def test_two_pages_see_each_other_and_list_their_events(browser: Browser, site: str, backend_url: str) -> None:
    opener = ExamplePages(browser)
    pages = [ExamplePage(*await opener.open(f"{site}/site/index.html")) for _ in range(2)]
    for page, user_id in zip(pages, ("ann", "bob"), strict=True):
        await page.join(backend_url, user_id=user_id, role="host")
    for page in pages:
        await page.wait_until(SHOWS_BOTH)
    ann, bob = participant_ids(backend_url)

    assert sorted(await pages[0].leave()) == [
        "JOINED",
        "LEFT",
        "PUBLISH_STARTED",
        "PUBLISH_STOPPED",
        f"SUBSCRIBE_STARTED {bob}",
        f"SUBSCRIBE_STOPPED {bob}",
    ]
    await pages[1].wait_until("() => document.querySelectorAll('video').length === 1")
    seen = await pages[1].run("() => [...document.querySelectorAll('#log li')].map((line) => line.textContent)")
    assert [line for line in seen if "ann" in line] == ["ann joined", "ann left"]
    assert f"SUBSCRIBE_STARTED {ann}" in await pages[1].leave()
    await opener.close()


def participant_ids(backend_url: str) -> tuple[str, str]:
    """Return the ids of ann and bob, who are on the stage."""
    response = httpx.get(f"{backend_url}/stages/{STAGE}/participants", timeout=30)
    found = {each["userId"]: each["participantId"] for each in response.json()["participants"]}
    return found["ann"], found["bob"]


async def test_the_page_says_what_the_backend_refuses(browser: Browser, site: str, backend_url: str) -> None:
    opener = ExamplePages(browser)
    page = ExamplePage(*await opener.open(f"{site}/site/index.html"))
    await page.page.fill("[name=backend]", backend_url)
    await page.page.fill("[name=userId]", "no spaces")
    await page.page.click("#join")
    await page.wait_until("() => document.getElementById('log').textContent.includes('error: userId must be')")
    await opener.close()


async def test_the_example_installs_the_tested_version_of_the_sdk() -> None:
    package = msgspec.json.decode((FOLDER / "package.json").read_bytes())
    assert package["dependencies"] == {PACKAGE: NEWEST.version}
