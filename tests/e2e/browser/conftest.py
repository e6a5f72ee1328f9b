"""Fixtures: one server for all browser tests, and a new stage and new pages for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.browser.page_server import PAGES, serve_pages
from tests.e2e.browser.participants import Participants
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server


@pytest.fixture(scope="session")
def participants_page(chromium_path: str) -> Iterator[str]:  # noqa: ARG001 - skips the test without a browser
    with serve_pages(pages=PAGES) as url:
        yield f"{url}/pages/participant.html"


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
