"""Fixtures: one server for all tests that neither stop it nor need other settings, the bundles of the SDK and their
tabs. The tests are skipped where Chromium or npm is missing."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.browser.page_server import PAGES, serve_pages
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_packages import CACHE, NEWEST, SdkPackage, SdkUnavailableError, install
from tests.e2e.sdk.sdk_tab import SdkTabs
from tests.e2e.server import RunningServer, run_server


@pytest.fixture(scope="session")
def pages_url() -> Iterator[str]:
    with serve_pages(pages=Path(__file__).parent / "pages", browser=PAGES, sdk=CACHE) as url:
        yield url


@pytest.fixture(scope="session")
def server(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    with run_server(tmp_path_factory.mktemp("sdk") / "data", session_linger_seconds="60") as server:
        yield server
    assert "level=error" not in server.log, server.log


@pytest.fixture
def stage(server: RunningServer) -> StageHandle:
    return StageHandle(server)


@pytest.fixture
def package() -> SdkPackage:
    """The version of the SDK: the newest, unless a test has parameters."""
    return NEWEST


@pytest_asyncio.fixture(loop_scope="session")
async def tabs(browser: Browser, pages_url: str, package: SdkPackage) -> AsyncIterator[SdkTabs]:
    try:
        install(package)
    except SdkUnavailableError as error:
        pytest.skip(str(error))
    tabs = SdkTabs(browser, pages_url, package)
    yield tabs
    await tabs.close()
