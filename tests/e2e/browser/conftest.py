"""Fixtures: one browser and one server for all browser tests, and a new stage and new pages for each test.

Playwright's objects belong to one event loop, the session's. Every test module selects it in its `pytestmark`.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.browser.chromium import find_chromium, running_chromium
from tests.e2e.browser.page_server import serve_pages
from tests.e2e.browser.participants import Participants
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = find_chromium()
    if path is None:
        pytest.skip("there is no Chromium on the path")
    return path


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with running_chromium(chromium_path) as browser:
        yield browser


@pytest.fixture(scope="session")
def participants_page(chromium_path: str) -> Iterator[str]:  # noqa: ARG001 - skips the test without a browser
    with serve_pages() as address:
        yield address


@pytest.fixture(scope="session")
def server(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    with run_server(
        tmp_path_factory.mktemp("browser") / "data",
        session_linger_seconds="60",
        media_consent_timeout_seconds="60",  # longer than any test: no page loses consent
    ) as server:
        yield server
    assert "level=error" not in server.log, server.log


@pytest.fixture
def stage(server: RunningServer) -> StageHandle:
    return StageHandle(server)


@pytest_asyncio.fixture(loop_scope="session")
async def participants(browser: Browser, participants_page: str) -> AsyncIterator[Participants]:
    participants = Participants(browser, participants_page)
    yield participants
    await participants.close()
