"""A fresh house for every test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.manager.house import ManagerHarness, running_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[ManagerHarness]:
    async with running_house(tmp_path / "book.sqlite3") as running:
        yield running
