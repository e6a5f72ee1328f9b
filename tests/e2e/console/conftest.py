"""Fixtures: a server with bearer keys, and the console in a browser."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, StorageState

from tests.e2e.console.bearer_keys import create_key
from tests.e2e.console.console_page import ConsolePage, open_console
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - Firefox sends no media to 127.0.0.1


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("console") / "data"
    with run_server(data, session_linger_seconds="60", media_bind=ANY_ADDRESS) as server:
        yield server
    assert "level=error" not in server.log, server.log


@pytest.fixture(scope="session")
def operator_key(server: RunningServer) -> str:
    return create_key(server.data, "operator")


@pytest.fixture(scope="session")
def reader_key(server: RunningServer) -> str:
    return create_key(server.data, "reader")


@pytest.fixture
def stage(server: RunningServer) -> StageHandle:
    return StageHandle(server)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def signed_in(browser: Browser, server: RunningServer, operator_key: str) -> StorageState:
    """The cookie of an operator who has signed in."""
    async with open_console(browser, server.endpoint_url) as console:
        await console.sign_in(operator_key)
        return await console.page.context.storage_state()


@pytest_asyncio.fixture(loop_scope="session")
async def console(browser: Browser, server: RunningServer, signed_in: StorageState) -> AsyncIterator[ConsolePage]:
    """The console of an operator. Errors of the page and requests to other hosts fail the test."""
    async with open_console(browser, server.endpoint_url, signed_in=signed_in) as console:
        await console.open()
        await console.heading("Overview")
        yield console


@pytest_asyncio.fixture(loop_scope="session")
async def second_console(
    browser: Browser, server: RunningServer, signed_in: StorageState
) -> AsyncIterator[ConsolePage]:
    """As `console`, in another context."""
    async with open_console(browser, server.endpoint_url, signed_in=signed_in) as console:
        yield console
