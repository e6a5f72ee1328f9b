"""The counters of a book: events by name and error, and stages. Refused transactions count for nothing."""

import pytest

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.changes import DeleteStage
from stagebook.book.server_book import ServerBook
from stagebook.stage.events import ErrorCode, Event, EventName
from tests.book.conftest import Books
from tests.book.sample import ARN, NOON_MS, append, commit, open_session, put, put_stage


def counted(book: ServerBook) -> dict[tuple[EventName, ErrorCode | None], int]:
    return {(name, error): count for name, error, count in book.event_counts if count}


def opened(books: Books) -> ServerBook:
    return books.open()


async def test_events_are_counted_by_name_and_error(books: Books) -> None:
    book = opened(books)
    refused = Event(name=EventName.PUBLISH_ERROR, error_code=ErrorCode.QUOTA_EXCEEDED)
    failed = Event(name=EventName.PUBLISH_ERROR, error_code=ErrorCode.INVALID_INPUT)
    await commit(book, put_stage(), open_session(), put("p"), append("p"))
    await commit(book, append("p", refused), append("p", refused), append("p", failed))
    assert counted(book) == {
        (EventName.JOINED, None): 1,
        (EventName.PUBLISH_ERROR, ErrorCode.QUOTA_EXCEEDED): 2,
        (EventName.PUBLISH_ERROR, ErrorCode.INVALID_INPUT): 1,
    }
    assert {name for name, error, _ in book.event_counts if error is None} == set(EventName)


async def test_a_refused_transaction_is_not_counted(books: Books) -> None:
    book = opened(books)
    await commit(book, put_stage(), open_session(), put("p"))
    refused = Event(name=EventName.PUBLISH_ERROR, error_code=ErrorCode.QUOTA_EXCEEDED)
    with pytest.raises(ChangeRefusedError):
        book.submit(
            [
                put_stage("arn:other"),
                append("p"),
                append("p", refused),
                append("unknown", EventName.LEFT),
                append("p", EventName.LEFT),
            ]
        )
    assert counted(book) == {}
    assert book.stage_count == 1


async def test_stages_are_counted_without_deleted_ones_also_after_a_restart(books: Books) -> None:
    book = opened(books)
    await commit(book, put_stage(), put_stage("arn:other"))
    await commit(book, put_stage(), DeleteStage(stage_arn=ARN, at_ms=NOON_MS))
    assert book.stage_count == 1
    await books.close()
    assert opened(books).stage_count == 1
