"""Compositions over the watch API: the list with its filters and pages, and one composition with its events."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stagebook.api.routes.api_route import ApiRoute
from stagebook.api.watch.composition_routes import CompositionRoutes
from stagebook.history.history_files import HistoryFiles
from stagebook.stage.composition.composition_events import (
    CompositionCause,
    CompositionErrorCode,
    CompositionEvent,
    CompositionEventName,
)
from tests.api.watch.watch_requests import CURSORS, LocalHistory, ReaderOf, get
from tests.book.sample import (
    ACCOUNT,
    ARN,
    COMPOSITION_ARN,
    NOON_MS,
    OTHER_ARN,
    append_composition,
    commit,
    composition,
    open_book,
    put_composition,
    put_stage,
)

FAILED = CompositionEvent(
    name=CompositionEventName.COMPOSITION_FAILED,
    error_code=CompositionErrorCode.STAGE_DELETED,
    cause=CompositionCause.STAGE_DELETED,
)


@pytest.fixture
async def routes(tmp_path: Path) -> AsyncIterator[tuple[ApiRoute, ...]]:
    book = open_book(tmp_path / "book")
    await commit(book, put_stage(), put_stage(OTHER_ARN), put_composition(composition(end_ms=NOON_MS + 1)))
    for number in range(3):
        await commit(book, put_composition(composition(f"{COMPOSITION_ARN}{number}", stage_arn=OTHER_ARN)))
    await commit(book, append_composition(), append_composition(FAILED))
    await book.close()
    with HistoryFiles(tmp_path / "book") as files:
        yield CompositionRoutes(history=LocalHistory(files), cursors=CURSORS, region="us-west-2").routes()


async def answered(routes: tuple[ApiRoute, ...], path: str, *, access: ReaderOf | None = None) -> dict[str, object]:
    response = await get(routes, path, access=access or ReaderOf())
    assert response.status == 200
    answer: dict[str, object] = json.loads(response.body)
    return answer


async def test_a_composition_that_ended_long_ago_is_shown_with_its_events(routes: tuple[ApiRoute, ...]) -> None:
    access = ReaderOf()
    report = await answered(routes, "/watch/v1/compositions/abcdABCDefgh", access=access)
    assert access.required == [("stagebook:GetComposition", ARN)]
    (destination,) = composition().destinations
    assert report["composition"] == {
        "arn": COMPOSITION_ARN,
        "accountId": ACCOUNT,
        "stageArn": ARN,
        "state": "STOPPED",
        "startTime": "2023-11-14T22:13:20.000Z",
        "endTime": "2023-11-14T22:13:20.001Z",
        "tags": {"team": "blue"},
        "layout": {"grid": {"gridGap": 2}},
        "destinations": [
            {
                "id": "GHFabcgefABC",
                "state": "STARTING",
                "configuration": destination.configuration,
                "recordingPrefix": destination.recording_prefix,
            }
        ],
    }
    events = report["events"]
    assert isinstance(events, list)
    assert [each["name"] for each in events] == ["COMPOSITION_STARTED", "COMPOSITION_FAILED"]
    assert {name: events[1][name] for name in ("errorCode", "reason", "cause", "compositionArn")} == {
        "errorCode": "StageDeleted",
        "reason": "Stage has been deleted",
        "cause": "stage_deleted",
        "compositionArn": COMPOSITION_ARN,
    }


async def test_events_come_in_pages(routes: tuple[ApiRoute, ...]) -> None:
    first = await answered(routes, "/watch/v1/compositions/abcdABCDefgh?limit=1")
    second = await answered(routes, f"/watch/v1/compositions/abcdABCDefgh?limit=1&cursor={first['nextCursor']}")
    events = [*first["events"], *second["events"]]  # type: ignore[misc]  # lists
    assert [each["name"] for each in events] == ["COMPOSITION_STARTED", "COMPOSITION_FAILED"]
    assert "nextCursor" not in second


async def test_the_list_has_pages_with_the_newest_first(routes: tuple[ApiRoute, ...]) -> None:
    path, arns = "/watch/v1/compositions?limit=3", []
    cursor: object = ""
    while cursor is not None:
        page = await answered(routes, path + (f"&cursor={cursor}" if cursor else ""))
        arns += [each["arn"] for each in page["compositions"]]  # type: ignore[attr-defined]  # a list
        cursor = page.get("nextCursor")
    assert arns == [f"{COMPOSITION_ARN}{number}" for number in (2, 1, 0)] + [COMPOSITION_ARN]


@pytest.mark.parametrize("stage", [ARN, "abcdABCDefgh"])
async def test_the_list_can_be_of_one_stage(routes: tuple[ApiRoute, ...], stage: str) -> None:
    page = await answered(routes, f"/watch/v1/compositions?stage={stage}")
    assert [each["arn"] for each in page["compositions"]] == [COMPOSITION_ARN]  # type: ignore[attr-defined]  # a list


async def test_another_account_finds_nothing(routes: tuple[ApiRoute, ...]) -> None:
    access = ReaderOf("210987654321")
    assert await answered(routes, "/watch/v1/compositions", access=access) == {"compositions": []}
    response = await get(routes, "/watch/v1/compositions/abcdABCDefgh", access=access)
    assert response.status == 404


async def test_a_cursor_of_another_composition_is_refused(routes: tuple[ApiRoute, ...]) -> None:
    first = await answered(routes, "/watch/v1/compositions/abcdABCDefgh?limit=1")
    response = await get(
        routes, f"/watch/v1/compositions/abcdABCDefgh0?cursor={first['nextCursor']}", access=ReaderOf()
    )
    assert response.status == 400
