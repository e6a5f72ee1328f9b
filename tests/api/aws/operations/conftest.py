"""The fixture of these tests: a house with an empty book."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.api.aws.operations.house import ManagerHarness, open_house


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[ManagerHarness]:
    async with open_house(tmp_path) as opened:
        yield opened
