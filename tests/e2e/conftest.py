"""Fixtures of all end-to-end tests that use a browser.

Playwright's objects belong to one event loop, the session's. Every test module that uses them selects it in its
`pytestmark`.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.browser.chromium import find_chromium, running_chromium
from tests.e2e.client.bidi_connection import BidiConnection
from tests.e2e.client.firefox import find_firefox, running_firefox


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


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def firefox() -> AsyncIterator[BidiConnection]:
    path = find_firefox()
    if path is None:
        pytest.skip("there is no Firefox on the path")
    async with running_firefox(path) as connection:
        yield connection
