"""The part `search`: the first page of searches over a large book, and appends and pages beside a full search."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec

from bench.figures import median, percentile
from bench.page.books import BusyParticipant
from bench.page.signed_requests import sign_pages
from bench.report import Part, Table, Target, number
from bench.search.large_book import (
    ACCOUNTS,
    EVENTS_PER_PARTICIPANT,
    PARTICIPANTS_PER_SESSION,
    SESSION_MS,
    STAGES,
    START_MS,
    USERS,
    events_of,
    stage_arn,
    write_large_book,
)
from bench.search.raw_requests import Connection, get_request, refused_offer
from stagebook.data_folder.secrets import DataFolder
from stagebook.history.search.search_index import SearchIndex
from stagebook.stage.events import ErrorCode
from stagebook.stage.timestamps import iso8601
from tests.e2e.server import RunningServer, run_unchecked_server
from tests.e2e.watch.bearer import create_key, wait_for_status

SESSIONS = 20_000
"""A book of 10,000,000 events."""
SEARCHES = 300
"""Of each kind."""
REQUESTS = 500
"""Appends, and pages, of one round."""
ROUNDS = 3
TARGET_MS = 50.0
_TOKENS = 20
_PATH = "/watch/v1/events?"
_SEED = 7


class IndexBuild(msgspec.Struct, frozen=True, kw_only=True):
    """The first indexing of a book."""

    events: int
    seconds: float
    book_bytes: int
    index_bytes: int


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """The times of appends and pages in milliseconds, in rounds with and without searches beside them."""

    appends: list[float]
    pages: list[float]


def measure_search(folder: Path) -> Part:
    """Measure on a new book; return the report."""
    data = DataFolder(folder / "search")
    data.prepare()
    write_large_book(data.book_path, sessions=SESSIONS)
    build = build_index(data)
    with run_unchecked_server(data.path, account_id=ACCOUNTS[0]) as server:
        key = create_key(server, "reader")
        wait_for_status(server, "/watch/v1/me", key=key, status=200)
        found = {name: first_pages(server, key, make) for name, make in SEARCHES_BY_NAME.items()}
        alone, beside = measure_beside(server, key)
    return report(build, found, alone, beside)


def build_index(data: DataFolder) -> IndexBuild:
    """Index the book, as the server does it at its first start."""
    begin = time.perf_counter()
    index = SearchIndex.open(data.search_index_path, book_path=data.book_path)
    while not index.catch_up(maximum_batches=4).is_complete:
        pass
    seconds = time.perf_counter() - begin
    index.close()
    sizes = [path.stat().st_size for path in (data.book_path, data.search_index_path)]
    return IndexBuild(events=events_of(SESSIONS), seconds=seconds, book_bytes=sizes[0], index_bytes=sizes[1])


def _some_stage(chance: random.Random) -> str:
    """Return the parameter for a stage of the first account, which has seven of ten."""
    return "stage=" + quote(stage_arn(chance.randrange(STAGES // 10) * 10 + chance.randrange(7)))


def _some_time(chance: random.Random) -> int:
    return START_MS + chance.randrange(SESSIONS // STAGES * SESSION_MS)


SEARCHES_BY_NAME: dict[str, Callable[[random.Random], str]] = {
    "newest events": lambda _chance: "",
    "user": lambda chance: f"user=user-{chance.randrange(USERS)}",
    "error code": lambda chance: f"error={chance.choice(list(ErrorCode))}",
    "any error": lambda _chance: "error=any",
    "name": lambda chance: f"name={chance.choice(['JOINED', 'LEFT', 'SUBSCRIBE_STARTED'])}",
    "rare name": lambda _chance: "name=SUBSCRIBE_ERROR",
    "time": lambda chance: f"until={iso8601(_some_time(chance))}",
    "time, oldest first": lambda chance: f"order=asc&since={iso8601(_some_time(chance))}",
    "stage": _some_stage,
    "stage and name": lambda chance: f"{_some_stage(chance)}&name=LEFT",
    "stage and any error": lambda chance: f"{_some_stage(chance)}&error=any",
    "stage and cause": lambda chance: f"{_some_stage(chance)}&cause=peer_lost",
    "user and stage": lambda chance: f"{_some_stage(chance)}&user=user-{chance.randrange(USERS)}",
    "participant": lambda chance: f"participant=p{chance.randrange(SESSIONS * PARTICIPANTS_PER_SESSION):011d}",
    "session": lambda chance: f"session=st-{chance.randrange(SESSIONS // 10) * 10:013d}",
    "1,000 events": lambda _chance: "limit=1000",
}


def first_pages(server: RunningServer, key: str, make: Callable[[random.Random], str]) -> list[float]:
    """Return the times of first pages in milliseconds."""
    chance = random.Random(_SEED)
    requests = [get_request(_PATH + make(chance), key=key) for _ in range(SEARCHES)]
    with Connection(_port(server)) as connection:
        return connection.milliseconds(requests, status=200)


def measure_beside(server: RunningServer, key: str) -> tuple[Beside, Beside]:
    """Return the times of appends and pages without and with full searches, in rounds by turns."""
    alone, beside = Beside(appends=[], pages=[]), Beside(appends=[], pages=[])
    appends, pages = _appends(server), _pages(server)
    for _ in range(ROUNDS):
        _measure_round(server, appends, pages, alone)
        with _full_searches(server, key):
            _measure_round(server, appends, pages, beside)
    return alone, beside


def _measure_round(server: RunningServer, appends: list[bytes], pages: list[bytes], into: Beside) -> None:
    with Connection(_port(server)) as connection:
        for number_of_request in range(REQUESTS):
            append, page = (each[number_of_request % len(each)] for each in (appends, pages))
            into.appends.extend(connection.milliseconds([append], status=406))
            into.pages.extend(connection.milliseconds([page], status=200))


@contextmanager
def _full_searches(server: RunningServer, key: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "bench.search.full_search", str(_port(server)), key])
    try:
        yield
        assert process.poll() is None, "the searches beside have failed"
    finally:
        process.kill()
        process.wait()


def _appends(server: RunningServer) -> list[bytes]:
    client = server.client()
    arn = client.create_stage()["stage"]["arn"]
    tokens = [client.create_participant_token(stageArn=arn)["participantToken"]["token"] for _ in range(_TOKENS)]
    return [refused_offer(token) for token in tokens]


def _pages(server: RunningServer) -> list[bytes]:
    """Return signed requests for the events of participants all over the book."""
    chance = random.Random(_SEED)
    participants = []
    for _ in range(200):
        session = chance.randrange(SESSIONS // 10) * 10
        person = (session + 1) * PARTICIPANTS_PER_SESSION + chance.randrange(PARTICIPANTS_PER_SESSION) + 1
        participants.append(
            BusyParticipant(
                stage_arn=stage_arn(session % STAGES),
                session_id=f"st-{session:013d}",
                participant_id=f"p{person:011d}",
            )
        )
    return sign_pages(server.client(), [(participant, None) for participant in participants])


def _port(server: RunningServer) -> int:
    return urlsplit(server.endpoint_url).port or 0


def report(build: IndexBuild, found: dict[str, list[float]], alone: Beside, beside: Beside) -> Part:
    """Return the report of the measurements."""
    slowest = max(percentile(times, 99) for times in found.values())
    return Part(
        title="Search",
        method=(
            f"A book of {build.events:,} events: {STAGES:,} stages of three accounts that are in use at the same time, "
            f"{SESSIONS:,} sessions of {PARTICIPANTS_PER_SESSION} participants with {EVENTS_PER_PARTICIPANT} events, "
            f"{USERS:,} users, one error in 5,000 events. {SEARCHES} first pages of 50 events for each kind of search, "
            "with random values, over HTTP with a bearer key, one after the other. Then appends (an offer that is "
            "refused once its event is durable) and pages of ListParticipantEvents by turns on one connection, "
            f"{ROUNDS * REQUESTS:,} of each alone, and as many while two connections search the whole book without a "
            "pause, 1,000 events for each page."
        ),
        tables=(_index_table(build), _search_table(found), _beside_table(alone, beside)),
        targets=(Target(what="first page of a search, 99 %", measured=slowest, at_most=TARGET_MS, unit="ms"),),
    )


def _index_table(build: IndexBuild) -> Table:
    row = (
        f"{build.events:,} events",
        number(build.seconds),
        number(build.events / build.seconds),
        number(build.book_bytes / 1e6),
        number(build.index_bytes / 1e6),
        number(build.index_bytes / build.events),
    )
    return Table(headings=("first index of", "s", "events/s", "book MB", "index MB", "index B/event"), rows=(row,))


def _search_table(found: dict[str, list[float]]) -> Table:
    rows = tuple(
        (name, number(median(times)), number(percentile(times, 99)), number(max(times)))
        for name, times in found.items()
    )
    return Table(headings=("search by", "median ms", "99 % ms", "worst ms"), rows=rows)


def _beside_table(alone: Beside, beside: Beside) -> Table:
    kinds = (("append", alone.appends, beside.appends), ("page of ListParticipantEvents", alone.pages, beside.pages))
    rows = [
        (
            f"{what}, {figure}",
            number(compute(without)),
            number(compute(loaded)),
            number(compute(loaded) / compute(without)),
        )
        for what, without, loaded in kinds
        for figure, compute in (("median", median), ("99 %", lambda times: percentile(times, 99)))
    ]
    return Table(headings=("ms", "alone", "with full searches", "ratio"), rows=tuple(rows))
