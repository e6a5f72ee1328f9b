"""The overview of the stages over the watch API."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stagebook.api.watch.sessions.stage_routes import StageRoutes
from stagebook.history.history_files import HistoryFiles
from stagebook.history.sessions import stage_reads
from stagebook.manager.session.session_registry import LiveSession
from stagebook.stage.errors import ServerBusyError
from tests.api.watch.watch_requests import CURSORS, FixedClock, LocalHistory, ReaderOf, get
from tests.book.sample import ARN, NOON_MS, OTHER_ARN
from tests.cli.written_book import write_book

LIVE = {OTHER_ARN: LiveSession(session_id="st-live", start_ms=NOON_MS, participants=3, publishers=2, subscriptions=4)}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_book(tmp_path_factory.mktemp("stages") / "data")


@pytest.fixture
def history(path: Path) -> Iterator[LocalHistory]:
    with HistoryFiles(path) as files:
        yield LocalHistory(files)


async def overview(history: LocalHistory, query: str = "", *, now_ms: int = NOON_MS + 60_000) -> Any:  # noqa: ANN401 - JSON
    routes = StageRoutes(history=history, live_session=LIVE.get, cursors=CURSORS, clock=FixedClock(now_ms))
    response = await get([routes.route()], f"/watch/v1/stages{query}", access=ReaderOf())
    assert response.status == 200, response.body
    return json.loads(response.body)


async def test_stages_have_their_open_session_and_their_errors(history: LocalHistory) -> None:
    page = await overview(history)
    assert page["errorsSinceTime"] == "2023-11-14T21:14:20.000Z"
    assert page["stages"] == [
        {
            "stageArn": ARN,
            "name": "talk",
            "sessionId": None,
            "sessionStartTime": None,
            "participants": 0,
            "publishers": 0,
            "subscriptions": 0,
            "errors": 1,
        },
        {
            "stageArn": OTHER_ARN,
            "name": "talk",
            "sessionId": "st-live",
            "sessionStartTime": "2023-11-14T22:13:20.000Z",
            "participants": 3,
            "publishers": 2,
            "subscriptions": 4,
            "errors": 0,
        },
    ]


async def test_older_errors_do_not_count(history: LocalHistory) -> None:
    page = await overview(history, now_ms=NOON_MS + 3_606_000)
    assert [stage["errors"] for stage in page["stages"]] == [0, 0]


def no_index(*_: object) -> None:
    raise ServerBusyError("the search index is being built")


async def test_errors_are_counted_in_the_log_while_there_is_no_index(
    history: LocalHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_reads, "find_page", no_index)
    assert (await overview(history))["stages"][0]["errors"] == 1
    assert (await overview(history, now_ms=NOON_MS + 3_606_000))["stages"][0]["errors"] == 0
    monkeypatch.setattr(stage_reads, "EVENTS_PER_READ", 2)
    monkeypatch.setattr(stage_reads, "MAXIMUM_EVENTS", 4)
    assert (await overview(history))["errorsSinceTime"] == "2023-11-14T22:13:26.000Z"


async def test_stages_come_in_pages(history: LocalHistory) -> None:
    first = await overview(history, "?limit=1")
    second = await overview(history, f"?limit=1&cursor={first['nextCursor']}")
    assert [stage["stageArn"] for page in (first, second) for stage in page["stages"]] == [ARN, OTHER_ARN]
    assert "nextCursor" not in second
