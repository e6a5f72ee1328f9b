"""The export over the watch API: a response of any length, read part by part."""

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stagebook.api.routes.api_route import ApiRoute
from stagebook.api.routes.reader_places import ReaderPlaces
from stagebook.api.watch.export.export_routes import ExportRoutes
from stagebook.history.export.event_lines import CSV_COLUMNS
from stagebook.history.export.export_pages import read_export_page
from stagebook.history.history_files import HistoryFiles
from stagebook.stage.errors import ServerBusyError
from tests.api.watch.watch_requests import LocalHistory, ReaderOf, get
from tests.history.export.exported_book import write_events

EVENTS = 25
PATH = "/watch/v1/events/export"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "book"
    asyncio.run(write_events(path, EVENTS))
    return path


@pytest.fixture
def history(path: Path) -> Iterator[LocalHistory]:
    with HistoryFiles(path) as files:
        yield LocalHistory(files)


def route_of(history: LocalHistory, *, places: int = 16) -> ApiRoute:
    return ExportRoutes(history=history, places=ReaderPlaces(places), region="us-west-2", busy_seconds=0).route()


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_export_page, "__kwdefaults__", {"limit": 10})


async def test_every_event_is_a_line(history: LocalHistory) -> None:
    parts: list[int] = []

    def note(part: bytes) -> None:
        """Each part is read when the one before has been sent."""
        parts.append(len(part.splitlines()))
        assert history.reads.count("read_export_part") == min(len(parts), 4)

    response = await get([route_of(history)], PATH, access=ReaderOf(), on_part=note)
    assert (response.status, dict(response.headers)[b"content-type"]) == (200, b"application/jsonl")
    documents = [json.loads(line) for line in response.body.splitlines()]
    assert len({document["id"] for document in documents}) == len(documents) == EVENTS
    assert parts == [10, 10, 5, 0]


async def test_csv_has_a_heading_also_without_events(history: LocalHistory) -> None:
    route = route_of(history)
    for query, count in (("format=csv", EVENTS), ("format=csv&name=LEFT", 5), ("format=csv&user=eve", 0)):
        response = await get([route], f"{PATH}?{query}", access=ReaderOf())
        rows = csv.DictReader(io.StringIO(response.body.decode(), newline=""))
        assert tuple(rows.fieldnames or ()) == CSV_COLUMNS
        assert len(list(rows)) == count


async def test_times_bound_an_export(history: LocalHistory) -> None:
    route = route_of(history)
    query = "since=2023-11-14T22:13:20.005Z&until=2023-11-14T22:13:20.012Z"
    response = await get([route], f"{PATH}?{query}", access=ReaderOf())
    assert len(response.body.splitlines()) == 7


async def test_events_of_other_accounts_are_not_exported(history: LocalHistory) -> None:
    response = await get([route_of(history)], PATH, access=ReaderOf("000000000000"))
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize("query", ["format=parquet", "limit=5", "name=NONE", "until=tomorrow"])
async def test_a_wrong_parameter_is_refused(history: LocalHistory, query: str) -> None:
    response = await get([route_of(history)], f"{PATH}?{query}", access=ReaderOf())
    assert response.status == 400


async def test_exports_at_once_are_bounded_and_give_their_places_back(
    history: LocalHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = route_of(history, places=2)
    read_on, run = asyncio.Event(), history.run

    async def held(*args: object, **kwargs: object) -> object:
        await read_on.wait()
        return await run(*args, **kwargs)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(history, "run", held)
    first = asyncio.create_task(get([route], PATH, access=ReaderOf()))
    await asyncio.sleep(0)
    assert (await get([route], PATH, access=ReaderOf())).status == 429
    read_on.set()
    assert (await first).status == 200
    assert (await get([route], PATH, access=ReaderOf())).status == 200


async def test_a_revoked_key_ends_an_export(history: LocalHistory) -> None:
    access = ReaderOf()

    def revoke(_part: bytes) -> None:
        access.is_revoked = True

    response = await get([route_of(history)], PATH, access=access, on_part=revoke)
    assert len(response.body.splitlines()) == 10


async def test_a_response_that_has_begun_waits_for_a_free_process(
    history: LocalHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, refusals = history.run, [False, False, True, True, False]

    async def sometimes_busy(*args: object, **kwargs: object) -> object:
        if refusals and refusals.pop(0):
            raise ServerBusyError("later")
        return await run(*args, **kwargs)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(history, "run", sometimes_busy)
    response = await get([route_of(history)], PATH, access=ReaderOf())
    assert len(response.body.splitlines()) == EVENTS
    assert refusals == []
