"""A new manager harness for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.manager.manager_harness import BookOfManager, ManagerHarness, running_manager

OTHER_BOOKS = {"simulation", "test_database_book"}
"""The modules and folders that open books of their own."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with a book also as if the book were far away."""
    if {"harness", "tmp_path"} & set(metafunc.fixturenames) and not (
        set(metafunc.module.__name__.split(".")) & OTHER_BOOKS
    ):
        distances = ["near", pytest.param("far", marks=pytest.mark.slow)]
        metafunc.parametrize("distance", distances, indirect=True)


@pytest.fixture(autouse=True)
def distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the book of the test's managers is."""
    distance = str(getattr(request, "param", "near"))
    monkeypatch.setattr(BookOfManager, "is_distant", distance == "far")
    return distance


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ManagerHarness]:
    async with running_manager(tmp_path / "book.sqlite3") as running:
        yield running
