"""A book with a page of garbage: every read serves intact values or raises an error of the port."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from stagebook.book.book_errors import BookDamagedError, BookFailedError, BookRefusedError, ChangeRefusedError
from stagebook.book.book_values import ParticipantFilter
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState
from tests.book.sample import (
    ACCOUNT,
    ARN,
    KEY_ARN,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    commit,
    open_book,
    open_session,
    put,
    put_replica,
    put_resource,
    put_stage,
)

PAGE_SIZE_BYTES = 4_096
PARTICIPANTS = 60


async def _write(path: Path) -> None:
    book = open_book(path)
    await commit(book, put_stage(), open_session(), put_stage(OTHER_ARN), open_session(OTHER_SESSION, arn=OTHER_ARN))
    for index in range(PARTICIPANTS):
        record = ParticipantRecord(
            participant_id=f"p{index}",
            user_id=f"user {index}",
            attributes={"a": "é" * 30},
            state=ParticipantState.CONNECTED,
        )
        await commit(book, put(record), *(append(f"p{index}", EventName.PUBLISH_STARTED) for _ in range(5)))
    await commit(book, put_resource(), put_replica("p1"))
    await book.close()


async def _read(path: Path) -> list[Exception]:
    """Open the book and do every read. Return the errors of the port that were raised; each names the file."""
    raised: list[Exception] = []
    try:
        book = open_book(path)
    except (BookRefusedError, BookFailedError) as error:
        return [error]
    everybody = ParticipantFilter()
    ids = [f"p{index}" for index in range(PARTICIPANTS)]
    reads: list[Callable[[], object]] = [
        book.last_time_ms,
        lambda: book.get_stage(ARN),
        lambda: book.list_stages(ACCOUNT, after=None, limit=10),
        lambda: book.count_stages(ACCOUNT),
        lambda: book.get_session(ARN, SESSION),
        lambda: book.list_sessions(ARN, after=None, limit=10),
        lambda: [book.get_participant(ARN, SESSION, one) for one in ids],
        lambda: book.list_participants(ARN, SESSION, where=everybody, after=None, limit=1_000),
        lambda: book.list_open_participants(ARN, SESSION, after=None, limit=1_000),
        lambda: [book.page_events(ARN, SESSION, one, after=None, limit=100) for one in ids],
        lambda: [book.list_events(ARN, SESSION, one) for one in ids],
        lambda: book.last_event_ms(ARN, SESSION),
        lambda: book.has_revoked(ARN),
        lambda: book.is_revoked(ARN, "p0"),
        lambda: book.get_resource(KEY_ARN),
        lambda: book.list_resources(ACCOUNT, "public-key", after=None, limit=10),
        lambda: book.count_resources(ACCOUNT, "public-key"),
        lambda: book.list_replicas(ARN, "p1", after=None, limit=10),
        book.list_active_replicas,
        lambda: book.is_connection_token_revoked(ACCOUNT, "token"),
        lambda: book.has_bound_participants(ACCOUNT, "stage"),
        book.list_open_sessions,
        lambda: book.submit([append("p0", EventName.LEFT)]),
    ]
    for read in reads:
        try:
            read()
        except BookFailedError as error:
            raised.append(error)
        except ChangeRefusedError:
            pass  # the damage hides the session or the participant
    await book.close()
    return raised


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("intact") / "book"
    asyncio.run(_write(path))
    assert asyncio.run(_read(path)) == []
    return path.read_bytes()


@pytest.mark.parametrize("garbage", ["random", "zeros", "text"])
def test_a_page_of_garbage_is_reported_by_an_error_of_the_port(tmp_path: Path, intact: bytes, garbage: str) -> None:
    pages = len(intact) // PAGE_SIZE_BYTES
    assert pages > 20
    chance = random.Random(1)
    reported: set[type[Exception]] = set()
    for page in range(pages):
        damaged = bytearray(intact)
        content = {
            "random": chance.randbytes(PAGE_SIZE_BYTES),
            "zeros": bytes(PAGE_SIZE_BYTES),
            "text": b"garbage " * (PAGE_SIZE_BYTES // 8),
        }[garbage]
        damaged[page * PAGE_SIZE_BYTES : (page + 1) * PAGE_SIZE_BYTES] = content
        path = tmp_path / f"book{page}"
        path.write_bytes(damaged)
        raised = asyncio.run(_read(path))
        assert [error for error in raised if str(path) not in str(error)] == []
        reported |= {type(error) for error in raised}
    assert {BookRefusedError, BookDamagedError} <= reported


@pytest.mark.parametrize("size_bytes", [1, 8, 64])
def test_damaged_rows_are_reported_by_an_error_of_the_port(tmp_path: Path, intact: bytes, size_bytes: int) -> None:
    """The structure of the page stays, so SQLite does not notice the damage."""
    chance = random.Random(size_bytes)
    for attempt in range(40):
        damaged = bytearray(intact)
        first = chance.randrange(100, len(damaged) - size_bytes)
        damaged[first : first + size_bytes] = chance.randbytes(size_bytes)
        path = tmp_path / f"book{attempt}"
        path.write_bytes(damaged)
        raised = asyncio.run(_read(path))
        assert [error for error in raised if str(path) not in str(error)] == []


def test_an_unknown_code_of_an_enum_is_damage(tmp_path: Path, intact: bytes) -> None:
    path = tmp_path / "book"
    path.write_bytes(intact)

    async def read() -> None:
        book = open_book(path)
        book._writing.execute("UPDATE event SET name = 99; UPDATE participant SET rest = '{'")
        with pytest.raises(BookDamagedError, match=f"{path} is damaged .*backup"):
            book.list_events(ARN, SESSION, "p0")
        with pytest.raises(BookDamagedError, match=f"{path} is damaged .*backup"):
            book.get_participant(ARN, SESSION, "p0")
        await book.close()

    asyncio.run(read())
