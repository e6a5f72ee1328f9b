"""Sessions over all stages: order, filters, pages with bounded work, and the events of their participants."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from stagebook.book.tables import session_history
from stagebook.book.tables.session_history import ParticipantChoice, SessionFilter, SessionHistory
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantRecord
from tests.book.conftest import Books, SqliteBooks
from tests.book.postgres_books import PostgresBooks, shared_database
from tests.book.sample import (
    ACCOUNT,
    ARN,
    NOON_MS,
    OTHER_ARN,
    SESSION,
    append,
    commit,
    end_session,
    open_session,
    put,
    put_stage,
)

SESSIONS = 10


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    """Yield a book with sessions by turns on two stages, a second apart; the last of each stage is open."""
    with ExitStack() as opened:
        if request.param == "sqlite":
            books: Books = SqliteBooks(tmp_path_factory.mktemp("history"))
        else:
            url = opened.enter_context(shared_database(request.getfixturevalue("postgres_server_url")))
            books = PostgresBooks(url)
        asyncio.run(_write_sessions(books))
        yield books


async def _write_sessions(books: Books) -> None:
    book = books.open()
    await commit(book, put_stage(), put_stage(OTHER_ARN))
    for number in range(SESSIONS):
        arn, session_id, start_ms = arn_of(number), f"st-{number}", NOON_MS + number * 1_000
        user = ParticipantRecord(participant_id=f"p{number}", user_id="ann" if number % 3 == 0 else "bob")
        await commit(book, open_session(session_id, arn=arn, start_ms=start_ms))
        await commit(
            book,
            put(user, arn=arn, session_id=session_id),
            append(user.participant_id, arn=arn, session_id=session_id, at_ms=start_ms),
        )
        if number < SESSIONS - 2:
            await commit(book, end_session(session_id, arn=arn, end_ms=start_ms + 500))
    await book.close()


@pytest.fixture
def history(written: Books) -> Iterator[SessionHistory]:
    history = written.open_session_history()
    yield history
    history.close()


def arn_of(number: int) -> str:
    return OTHER_ARN if number % 2 else ARN


def found(history: SessionHistory, where: SessionFilter, *, limit: int = 100) -> list[int]:
    """Return the numbers of the sessions of all pages."""
    numbers: list[int] = []
    position: int | None = None
    while True:
        page = history.list_sessions(where, after=position, limit=limit)
        numbers += [int(entry.session_id.removeprefix("st-")) for entry in page.items]
        position = page.next_position
        if position is None:
            return numbers


NEWEST_FIRST = list(reversed(range(SESSIONS)))
FILTERS: list[tuple[SessionFilter, list[int]]] = [
    (SessionFilter(), NEWEST_FIRST),
    (SessionFilter(account_id=ACCOUNT), NEWEST_FIRST),
    (SessionFilter(account_id="000000000000"), []),
    (SessionFilter(stage_arn=ARN), [8, 6, 4, 2, 0]),
    (SessionFilter(stage_arn=ARN, account_id="000000000000"), []),
    (SessionFilter(is_open=True), [9, 8]),
    (SessionFilter(is_open=True, stage_arn=ARN, account_id=ACCOUNT), [8]),
    (SessionFilter(is_open=True, since_ms=NOON_MS + 9_000), [9]),
    (SessionFilter(is_open=True, until_ms=NOON_MS + 9_000), [8]),
    (SessionFilter(is_open=True, user_id="ann"), [9]),
    (SessionFilter(is_open=False), NEWEST_FIRST[2:]),
    (SessionFilter(is_open=False, stage_arn=OTHER_ARN), [7, 5, 3, 1]),
    (SessionFilter(since_ms=NOON_MS + 3_000, until_ms=NOON_MS + 6_000), [5, 4, 3]),
    (SessionFilter(since_ms=NOON_MS + 2_001, until_ms=NOON_MS + 5_001), [5, 4, 3]),
    (SessionFilter(since_ms=NOON_MS + 3_000, stage_arn=ARN), [8, 6, 4]),
    (SessionFilter(since_ms=NOON_MS + 60_000), []),
    (SessionFilter(until_ms=NOON_MS), []),
    (SessionFilter(user_id="ann"), [9, 6, 3, 0]),
    (SessionFilter(user_id="ann", stage_arn=ARN), [6, 0]),
    (SessionFilter(user_id="eve"), []),
]


@pytest.mark.parametrize(("where", "numbers"), FILTERS, ids=lambda value: str(value)[:70])
@pytest.mark.parametrize(("limit", "per_page"), [(1, 20_000), (2, 3), (100, 20_000)])
def test_sessions_that_match_come_newest_first(
    history: SessionHistory,
    where: SessionFilter,
    numbers: list[int],
    limit: int,
    per_page: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_history, "SESSIONS_PER_PAGE", per_page)
    assert found(history, where, limit=limit) == numbers


def test_a_page_looks_at_a_bounded_number_of_sessions(history: SessionHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = sorted(entry.key for entry in history.list_sessions(SessionFilter(), after=None, limit=100).items)
    monkeypatch.setattr(session_history, "SESSIONS_PER_PAGE", 4)
    page = history.list_sessions(SessionFilter(user_id="eve"), after=None, limit=100)
    assert (page.items, page.next_position) == ([], keys[-4])
    page = history.list_sessions(SessionFilter(user_id="eve", stage_arn=ARN), after=None, limit=100)
    # The sessions of each stage are by turns.
    assert (page.items, page.next_position) == ([], keys[-8])


def test_a_session_is_found_by_its_id(history: SessionHistory) -> None:
    entry = history.find_session("st-3", account_id=ACCOUNT)
    assert entry is not None
    assert (entry.stage_arn, entry.stage_name, entry.participants) == (OTHER_ARN, "talk", 1)
    assert (entry.start_ms, entry.end_ms) == (NOON_MS + 3_000, NOON_MS + 3_500)
    assert history.find_session("st-3", account_id="000000000000") is None
    assert history.find_session("st-77") is None


async def test_participants_come_in_the_order_of_arrival_with_their_events(books: Books) -> None:
    book = books.open()
    history = books.open_session_history()
    await commit(book, put_stage(), open_session())
    users = {"x": "ann", "y": "bob", "z": "ann"}
    for participant_id, user_id in users.items():
        await commit(book, put(ParticipantRecord(participant_id=participant_id, user_id=user_id)))
    for name in (EventName.JOINED, EventName.PUBLISH_STARTED, EventName.LEFT):
        await commit(book, *(append(participant_id, name) for participant_id in users))
    entry = history.find_session(SESSION)
    assert entry is not None
    everybody = list(history.participants(entry.key))
    assert [each.record.participant_id for each in everybody] == ["x", "y", "z"]
    for each in everybody:
        assert [recorded.event.name for recorded in each.events] == [
            EventName.JOINED,
            EventName.PUBLISH_STARTED,
            EventName.LEFT,
        ]
        assert {recorded.participant_id for recorded in each.events} == {each.record.participant_id}
    later = history.participants(entry.key, after=everybody[0].number)
    assert [each.record.participant_id for each in later] == ["y", "z"]
    of_user = history.participants(entry.key, choice=ParticipantChoice(user_id="ann"))
    assert [each.record.participant_id for each in of_user] == ["x", "z"]
    both = history.participants(entry.key, choice=ParticipantChoice(participant_id="y", user_id="ann"))
    assert list(both) == []
    history.close()
    await book.close()
