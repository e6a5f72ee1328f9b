"""The built site in Chromium, opened as files: no server and no network."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Request

from contrib.site.repository_pages import ROOT
from tests.e2e.console.both_browsers import END_ANIMATIONS

pytestmark = [pytest.mark.site, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(200)]

PAGES = ("index", "operations/create-stage", "events/index", "error-codes/quota-exceeded", "tutorials/first-stage")
IMPACTS = {"serious", "critical"}
RULES = {"rules": {"scrollable-region-focusable": {"enabled": False}}}
"""The theme lets wide tables scroll. Browsers make such a region focusable themselves (Chromium since version 130)."""
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1440, "height": 900}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, check=True)
    return folder


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page. Afterwards it must have made no request to a host and have had no error."""
    requests: list[str] = []
    errors: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            requests.append(request.url)

    opened = await browser.new_page(viewport=DESKTOP)  # type: ignore[arg-type] # a plain dict has the keys of ViewportSize
    opened.on("request", note)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    await opened.close()
    assert (requests, errors) == ([], [])


@pytest.mark.parametrize("start", ["index", "operations/create-stage"])
async def test_the_search_works_without_a_server(site: Path, page: Page, start: str) -> None:
    await page.goto((site / f"{start}.html").as_uri())
    await page.locator("input.md-search__input").focus()
    await page.keyboard.type("B_FRAME_PRESENT")
    await page.locator(".md-search-result__link[href*='b-frame-present']").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
async def test_a_page_fits_a_phone_and_is_accessible(
    site: Path, page: Page, name: str, scheme: Literal["light", "dark"]
) -> None:
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type] # same
    await page.goto((site / f"{name}.html").as_uri())
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await page.evaluate(END_ANIMATIONS)
    serious = [
        found for found in (await Axe().run(page, options=RULES)).response["violations"] if found["impact"] in IMPACTS
    ]
    assert [(found["id"], found["nodes"][0]["html"]) for found in serious] == []
    wanted = {"light": "default", "dark": "slate"}[scheme]
    assert await page.locator("body").get_attribute("data-md-color-scheme") == wanted
