"""Fixtures: the open client in a browser, served from another origin than Stagebook."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.browser.page_server import serve_pages
from tests.e2e.client.bidi_connection import BidiConnection
from tests.e2e.client.client_tab import ClientTabs
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server

PAGES = Path(__file__).parent / "pages"
ROOT = Path(__file__).parents[3]
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - Firefox sends no media to 127.0.0.1


@pytest.fixture(scope="session")
def page() -> Iterator[str]:
    with serve_pages(pages=PAGES, clients=ROOT / "clients", examples=ROOT / "examples") as address:
        yield f"{address}/pages/client.html"


@pytest_asyncio.fixture(loop_scope="session")
async def chromium_tabs(browser: Browser, page: str) -> AsyncIterator[ClientTabs]:
    tabs = ClientTabs(browser, page)
    yield tabs
    await tabs.close()


@pytest_asyncio.fixture(loop_scope="session")
async def firefox_tabs(firefox: BidiConnection, page: str) -> AsyncIterator[ClientTabs]:
    tabs = ClientTabs(firefox, page)
    yield tabs
    await tabs.close()


@pytest.fixture(params=["chromium", "firefox"])
def tabs(request: pytest.FixtureRequest) -> ClientTabs:
    found: ClientTabs = request.getfixturevalue(f"{request.param}_tabs")
    return found


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("client") / "data"
    with run_server(data, session_linger_seconds="60", media_bind=ANY_ADDRESS) as server:
        yield server
    assert "level=error" not in server.log, server.log


@pytest.fixture
def stage(server: RunningServer) -> StageHandle:
    return StageHandle(server)
