"""Sessions over the watch API: lists, reports and attendance sheets."""

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stagebook.api.routes.api_route import ApiRoute
from stagebook.api.routes.reader_places import ReaderPlaces
from stagebook.api.watch.sessions import session_routes
from stagebook.api.watch.sessions.session_routes import SessionRoutes
from stagebook.history.history_files import HistoryFiles
from stagebook.history.sessions import session_reads
from stagebook.stage.errors import ServerBusyError
from tests.api.watch.watch_requests import CURSORS, FixedClock, LocalHistory, ReaderOf, get
from tests.book.sample import ARN, NOON_MS, OTHER_ARN, OTHER_SESSION, SESSION
from tests.cli.written_book import HOSTILE_USER, write_book

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_book(tmp_path_factory.mktemp("sessions") / "data")


@pytest.fixture
def history(path: Path) -> Iterator[LocalHistory]:
    with HistoryFiles(path) as files:
        yield LocalHistory(files)


@pytest.fixture
def access() -> ReaderOf:
    return ReaderOf()


def routes_of(history: LocalHistory, *, places: int = 16) -> list[ApiRoute]:
    return SessionRoutes(
        history=history,
        cursors=CURSORS,
        places=ReaderPlaces(places),
        clock=FixedClock(NOON_MS + 2 * HOUR_MS),
        region="us-west-2",
        busy_seconds=0,
    ).routes()


async def show(history: LocalHistory, access: ReaderOf, path: str, *, status: int = 200) -> Any:  # noqa: ANN401 - JSON
    routes = routes_of(history)
    response = await get(routes, f"/watch/v1/sessions{path}", access=access)
    assert response.status == status, response.body
    return json.loads(response.body)


async def test_sessions_of_the_account_are_listed_in_pages(history: LocalHistory, access: ReaderOf) -> None:
    first = await show(history, access, "?limit=1")
    assert [each["sessionId"] for each in first["sessions"]] == [OTHER_SESSION]
    assert (first["sessions"][0]["state"], first["sessions"][0]["endTime"]) == ("OPEN", None)
    second = await show(history, access, f"?limit=1&cursor={first['nextCursor']}")
    assert [each["sessionId"] for each in second["sessions"]] == [SESSION]
    assert "nextCursor" not in second
    nothing = await show(history, ReaderOf("000000000000"), "")
    assert nothing == {"sessions": []}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"stage={ARN}", [SESSION]),
        ("stage=abcdABCDefgh", [SESSION]),
        ("state=open", [OTHER_SESSION]),
        ("state=ended", [SESSION]),
        ("user=bob", [SESSION]),
        ("since=2023-11-14T23:00:00Z", [OTHER_SESSION]),
        ("until=2023-11-14T23:00:00Z", [SESSION]),
    ],
)
async def test_a_filter_selects_sessions(
    history: LocalHistory, access: ReaderOf, query: str, expected: list[str]
) -> None:
    page = await show(history, access, f"?{query}")
    assert [each["sessionId"] for each in page["sessions"]] == expected


async def test_a_report_has_totals_and_participants(history: LocalHistory, access: ReaderOf) -> None:
    report = await show(history, access, f"/{SESSION}")
    assert report["session"]["sessionId"] == SESSION
    assert report["totals"]["peakParticipants"] == {"number": 2, "time": "2023-11-14T22:13:22.000Z"}
    assert (report["totals"]["participantMs"], report["totals"]["participantMinutes"]) == (13_000, 0.217)
    assert [each["userId"] for each in report["participants"]] == ["ann", "bob"]
    (watched,) = report["participants"][1]["watched"]
    assert watched == {
        "start": "2023-11-14T22:13:22.000Z",
        "end": "2023-11-14T22:13:26.000Z",
        "endCause": "client",
        "participantId": "p-ann",
    }
    assert "nextCursor" not in report
    assert ("stagebook:GetSession", ARN) in access.required


async def test_an_open_session_counts_up_to_now(history: LocalHistory, access: ReaderOf) -> None:
    report = await show(history, access, f"/{OTHER_SESSION}")
    assert report["asOfTime"] == "2023-11-15T00:13:20.000Z"
    (eve,) = report["participants"]
    assert eve["joined"] == [{"start": "2023-11-14T23:13:20.000Z", "end": None}]
    assert (eve["userId"], eve["joinedMs"], eve["attributes"]) == (HOSTILE_USER, HOUR_MS, {"seat": "=2+2"})
    assert report["totals"]["participantMinutes"] == 60


async def test_the_totals_come_with_the_first_page_only(history: LocalHistory, access: ReaderOf) -> None:
    first = await show(history, access, f"/{SESSION}?limit=1")
    assert first["totals"]["participants"] == 2
    history.reads.clear()
    second = await show(history, access, f"/{SESSION}?limit=1&cursor={first['nextCursor']}")
    assert (second["totals"], [each["userId"] for each in second["participants"]]) == (None, ["bob"])
    assert "read_totals" not in history.reads
    assert (await show(history, access, f"/{SESSION}?totals=false"))["totals"] is None


async def test_participants_are_filtered(history: LocalHistory, access: ReaderOf) -> None:
    for query in ("user=bob", "participant=p-bob"):
        report = await show(history, access, f"/{SESSION}?{query}")
        assert [each["participantId"] for each in report["participants"]] == ["p-bob"]
        assert report["totals"]["participants"] == 2
    assert (await show(history, access, f"/{SESSION}?user=eve"))["participants"] == []


async def test_the_work_of_each_read_is_bounded(
    history: LocalHistory, access: ReaderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_reads, "EVENTS_PER_READ", 2)
    report = await show(history, access, f"/{SESSION}")
    assert history.reads.count("read_totals") == 2 + 1
    assert report["totals"]["events"] == 9
    assert [each["userId"] for each in report["participants"]] == ["ann"]
    assert report["nextCursor"]
    monkeypatch.setattr(session_routes, "MAXIMUM_TOTALS_EVENTS", 4)
    assert (await show(history, access, f"/{SESSION}"))["totals"] is None


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/st-0", 404, "NOT_FOUND"),
        ("/st-0/attendance", 404, "NOT_FOUND"),
        ("?limit=0", 400, "INVALID_PARAMETER"),
        ("?limit=1001", 400, "INVALID_PARAMETER"),
        ("?state=closed", 400, "INVALID_PARAMETER"),
        ("?since=2023-11-14T23:00:00", 400, "INVALID_PARAMETER"),
        ("?cursor=AAAA", 400, "INVALID_PARAMETER"),
        ("?cursor=%C3%A4", 400, "INVALID_PARAMETER"),
        (f"/{SESSION}?limit=0", 400, "INVALID_PARAMETER"),
        (f"/{SESSION}?page=2", 400, "INVALID_PARAMETER"),
    ],
)
async def test_a_wrong_request_is_refused(
    history: LocalHistory, access: ReaderOf, target: str, status: int, code: str
) -> None:
    assert (await show(history, access, target, status=status))["code"] == code


async def test_a_cursor_is_bound_to_its_request(history: LocalHistory, access: ReaderOf) -> None:
    of_list = (await show(history, access, "?limit=1"))["nextCursor"]
    of_session = (await show(history, access, f"/{SESSION}?limit=1"))["nextCursor"]
    for path in (
        f"?limit=1&stage={OTHER_ARN}&cursor={of_list}",
        f"?cursor={of_session}",
        f"/{SESSION}?cursor={of_list}",
        f"/{SESSION}?user=ann&cursor={of_session}",
        f"/{OTHER_SESSION}?cursor={of_session}",
    ):
        assert (await show(history, access, path, status=400))["code"] == "INVALID_PARAMETER"
    await show(history, ReaderOf("000000000000"), f"?limit=1&cursor={of_list}", status=400)


async def test_a_session_of_another_account_does_not_exist(history: LocalHistory) -> None:
    await show(history, ReaderOf("000000000000"), f"/{SESSION}", status=404)


async def test_an_attendance_sheet_is_csv(
    history: LocalHistory, access: ReaderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_reads, "PARTICIPANTS_PER_SHEET_READ", 1)
    routes = routes_of(history)
    response = await get(routes, f"/watch/v1/sessions/{SESSION}/attendance", access=access)
    headers = dict(response.headers)
    assert headers[b"content-type"] == b"text/csv; charset=utf-8"
    assert headers[b"content-disposition"] == f'attachment; filename="{SESSION}.csv"'.encode()
    ann, bob = csv.DictReader(io.StringIO(response.body.decode(), newline=""))
    assert (ann["User"], ann["Minutes published"], ann["Left because"]) == ("ann", "0.133", "peer_lost")
    assert (bob["User"], bob["Minutes watched"], bob["Errors"]) == ("bob", "0.067", "1")
    response = await get(routes, f"/watch/v1/sessions/{OTHER_SESSION}/attendance", access=access)
    (eve,) = csv.DictReader(io.StringIO(response.body.decode(), newline=""))
    assert (eve["Last leave (UTC)"], eve["Minutes present"]) == ("", "60.0")


async def test_a_sheet_that_has_begun_waits_for_a_free_process(
    history: LocalHistory, access: ReaderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_reads, "PARTICIPANTS_PER_SHEET_READ", 1)
    run, refusals = history.run, [False, False, True, True, False]

    async def sometimes_busy(*args: object, **kwargs: object) -> object:
        if refusals and refusals.pop(0):
            raise ServerBusyError("later")
        return await run(*args, **kwargs)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(history, "run", sometimes_busy)
    response = await get(routes_of(history), f"/watch/v1/sessions/{SESSION}/attendance", access=access)
    assert len(list(csv.DictReader(io.StringIO(response.body.decode(), newline="")))) == 2
    assert refusals == []


async def test_a_revoked_key_ends_a_sheet(
    history: LocalHistory, access: ReaderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_reads, "PARTICIPANTS_PER_SHEET_READ", 1)

    def revoke(_part: bytes) -> None:
        access.is_revoked = True

    response = await get(routes_of(history), f"/watch/v1/sessions/{SESSION}/attendance", access=access, on_part=revoke)
    assert len(list(csv.DictReader(io.StringIO(response.body.decode(), newline="")))) == 1


async def test_sheets_at_once_are_bounded_and_give_their_places_back(
    history: LocalHistory, access: ReaderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes, target = routes_of(history, places=2), f"/watch/v1/sessions/{SESSION}/attendance"
    read_on, run = asyncio.Event(), history.run

    async def held(read: Any, *args: object, **kwargs: object) -> object:  # noqa: ANN401 - passed on
        if read is session_reads.read_attendance:
            await read_on.wait()
        return await run(read, *args, **kwargs)

    monkeypatch.setattr(history, "run", held)
    first = asyncio.create_task(get(routes, target, access=access))
    await asyncio.sleep(0)
    assert (await get(routes, target, access=access)).status == 429
    read_on.set()
    assert (await first).status == 200
    assert (await get(routes, target, access=access)).status == 200
