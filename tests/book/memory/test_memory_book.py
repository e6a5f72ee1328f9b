"""Memory in front of a distant book: what is fetched, when it is at hand, and what is applied."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.changes import DeleteStage, RevokeParticipant
from stagebook.book.decision_book import NotFetchedError
from stagebook.book.memory import fetched_rows
from stagebook.book.memory.account_memory import AccountMemory
from stagebook.book.memory.fetched_rows import FetchedRows
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.stage.resources import ParticipantRecord
from tests.book.distant_book import DistantBook, with_loaded_keys
from tests.book.sample import (
    ACCOUNT,
    ARN,
    COMPOSITION_ARN,
    NOON_MS,
    OTHER_ARN,
    SESSION,
    append,
    commit,
    end_session,
    open_book,
    open_session,
    put,
    put_composition,
    put_resource,
    put_stage,
)

WHERE = (ARN, SESSION, "p")


@pytest.fixture
async def distant(tmp_path: Path) -> AsyncIterator[DistantBook]:
    """A book with a stage, an open session and the participant `p`, which the manager has forgotten."""
    path = tmp_path / "book"
    book = open_book(path)
    await commit(book, put_stage(), open_session(), put("p"), put_resource(), put_composition())
    await book.close()
    with with_loaded_keys():
        book = open_book(path)
    distant = DistantBook(book, path)
    await distant.load_all(now_ms=NOON_MS)
    yield distant
    distant.close()
    await book.close()


def book_of(distant: DistantBook) -> SqliteBook:
    return distant._book


async def test_a_participant_is_at_hand_and_can_be_put_after_it_was_fetched(distant: DistantBook) -> None:
    memory = distant.memory
    with pytest.raises(NotFetchedError):
        memory.get_participant(*WHERE)
    with pytest.raises(ChangeRefusedError, match="not in session"):
        memory.submit([append("p")])

    await memory.fetch_participant(*WHERE)

    assert memory.get_participant(*WHERE) == ParticipantRecord(participant_id="p")
    await memory.submit([append("p")]).durable
    assert len(book_of(distant).list_events(*WHERE)) == 1


async def test_a_participant_that_never_was_there_is_known_not_to_be(distant: DistantBook) -> None:
    await distant.memory.fetch_participant(ARN, SESSION, "new")
    assert distant.memory.get_participant(ARN, SESSION, "new") is None
    await distant.memory.submit([put("new")]).durable
    assert not distant.memory.is_participant_fetched(ARN, SESSION, "new")


async def test_a_fetch_that_a_transaction_overtakes_is_not_at_hand(distant: DistantBook) -> None:
    await distant.memory.fetch_participant(*WHERE)
    fetching = asyncio.create_task(distant.memory.fetch_participant(*WHERE))
    await asyncio.sleep(0)
    durable = distant.memory.submit([put(ParticipantRecord(participant_id="p", user_id="ada"))]).durable
    await fetching
    assert not distant.memory.is_participant_fetched(*WHERE)
    await durable
    await distant.memory.fetch_participant(*WHERE)
    record = distant.memory.get_participant(*WHERE)
    assert record is not None
    assert record.user_id == "ada"


async def test_a_participant_that_was_forgotten_must_be_fetched_again(distant: DistantBook) -> None:
    await distant.memory.fetch_participant(*WHERE)
    distant.memory.forget_participant(*WHERE)
    assert not distant.memory.is_participant_fetched(*WHERE)
    with pytest.raises(ChangeRefusedError, match="not in session"):
        distant.memory.submit([append("p")])


async def test_the_open_session_is_known_and_others_are_fetched(distant: DistantBook) -> None:
    memory = distant.memory
    opened = memory.get_session(ARN, SESSION)
    assert opened is not None
    assert (opened.start_ms, opened.end_ms) == (NOON_MS, None)
    await memory.submit([end_session(), open_session("st-next")]).durable
    with pytest.raises(NotFetchedError):
        memory.get_session(ARN, SESSION)
    await memory.fetch_session(ARN, SESSION)
    await memory.fetch_session(ARN, "st-unknown")
    ended = memory.get_session(ARN, SESSION)
    assert ended is not None
    assert ended.end_ms is not None
    assert memory.get_session(ARN, "st-unknown") is None
    assert memory.get_session(ARN, "st-next") is not None


async def test_a_change_counts_when_it_is_durable(distant: DistantBook) -> None:
    memory = distant.memory
    durable = memory.submit(
        [
            put_stage(OTHER_ARN),
            RevokeParticipant(stage_arn=ARN, participant_id="p", at_ms=0, reason=""),
            end_session(),
            DeleteStage(stage_arn=ARN, at_ms=0),
        ]
    ).durable
    assert memory.get_stage(OTHER_ARN) is None
    assert memory.get_stage(ARN) is not None
    await durable
    assert memory.get_stage(OTHER_ARN) is not None
    assert memory.get_stage(ARN) is None
    assert memory.count_stages(ACCOUNT) == 1


async def test_a_refused_transaction_changes_nothing(distant: DistantBook) -> None:
    with pytest.raises(ChangeRefusedError):
        distant.memory.submit([put_stage(OTHER_ARN), append("unknown")])
    await distant.memory.submit([]).durable
    assert distant.memory.get_stage(OTHER_ARN) is None


async def test_what_once_had_an_arn_is_looked_up(distant: DistantBook) -> None:
    await distant.memory.submit([end_session(), DeleteStage(stage_arn=ARN, at_ms=0)]).durable
    assert await distant.memory.has_had(ARN)
    assert await distant.memory.has_had(COMPOSITION_ARN)
    assert not await distant.memory.has_had(OTHER_ARN)


async def test_a_failed_fetch_leaves_nothing(distant: DistantBook, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_account_id: str, _read: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(distant.reads, "run", fail)
    for fetch in (distant.memory.fetch_participant(*WHERE), distant.memory.fetch_session(ARN, SESSION)):
        with pytest.raises(RuntimeError):
            await fetch
    assert not distant.memory._participants._fetching
    assert not distant.memory._sessions._fetching


def test_the_frequent_changes_are_not_held() -> None:
    memory = AccountMemory()
    assert not any(memory.holds(each) for each in (append("p"), put("p"), put_composition()))


def test_the_rows_that_were_fetched_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched_rows, "MAXIMUM_ROWS", 2)
    rows: FetchedRows[str] = FetchedRows()
    for number in range(4):
        assert rows.finish(number, rows.begin(number), "row")
    assert [number for number in range(4) if rows.has(number)] == [2, 3]
