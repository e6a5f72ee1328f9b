"""A new manager harness for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.manager.manager_harness import ManagerHarness, running_manager


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ManagerHarness]:
    async with running_manager(tmp_path / "book.sqlite3") as running:
        yield running
