"""The SQLite book: one writer, concurrent readers, and closing."""

import asyncio
import os
import stat
from pathlib import Path

import apsw
import pytest

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.open_readers import open_reader
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState
from tests.book.sample import ACCOUNT, ARN, SESSION, append, commit, open_book, open_session, put, put_stage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book"


async def test_another_connection_sees_every_acknowledged_append(path: Path) -> None:
    book = open_book(path)
    reader = open_reader(path)
    await commit(book, put_stage(), open_session(), put("p"))
    acknowledged: list[int] = []

    async def append_many() -> None:
        for _ in range(25):
            (sequence,) = await commit(book, append("p"))
            acknowledged.append(sequence)
            newest = reader.page_events(ARN, SESSION, "p", after=None, limit=100)
            assert set(acknowledged) <= {row[0] for row in newest}

    await asyncio.gather(*(append_many() for _ in range(4)))
    assert len(acknowledged) == 100
    reader.close_reading()
    await book.close()


async def test_a_read_does_not_wait_for_a_writer(path: Path) -> None:
    book = open_book(path)
    await commit(book, put_stage())
    writing = apsw.Connection(str(path))
    writing.execute("BEGIN IMMEDIATE; DELETE FROM stage")
    assert book.get_stage(ARN) is not None
    writing.execute("ROLLBACK")
    writing.close()
    await book.close()


async def test_a_second_writer_is_refused_and_the_first_stays_usable(path: Path) -> None:
    book = open_book(path)
    with pytest.raises(BookRefusedError, match="already open for writing"):
        open_book(path)
    await commit(book, put_stage())
    await book.close()


def test_a_refused_file_can_be_replaced_and_opened(path: Path) -> None:
    async def open_and_close() -> None:
        await open_book(path).close()

    path.write_text("not a book " * 1_000)
    with pytest.raises(BookRefusedError, match="not a SQLite database"):
        asyncio.run(open_and_close())
    path.unlink()
    asyncio.run(open_and_close())


async def test_a_closed_book_cannot_be_read(path: Path) -> None:
    book = open_book(path)
    await book.close()
    with pytest.raises(BookFailedError, match="closed"):
        book.get_stage("arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh")


async def test_a_closed_book_is_a_single_file(path: Path) -> None:
    book = open_book(path)
    await commit(book, put_stage())
    await book.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["book", "book.lock"]


async def test_only_the_owner_can_read_a_new_book(path: Path) -> None:
    former = os.umask(0o022)
    try:
        book = open_book(path)
        await commit(book, put_stage())
    finally:
        os.umask(former)
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert files == dict.fromkeys(("book", "book-wal", "book-shm", "book.lock"), 0o600)
    await book.close()


async def test_a_book_takes_over_the_lock_of_its_caller(path: Path) -> None:
    lock = BookLock.take(path)
    book = open_book(path, lock=lock)
    with pytest.raises(BookRefusedError, match="already open for writing"):
        open_book(path)
    await book.close()
    with BookLock.take(path):
        pass
    BookLock.take(path).release()


async def test_the_backlog_counts_transactions_that_are_not_durable(path: Path) -> None:
    book = open_book(path)
    submissions = [book.submit([put_stage(f"{ARN}{number}")]) for number in range(10)]
    assert book.backlog == 10
    await asyncio.gather(*(submission.durable for submission in submissions))
    assert book.backlog == 0
    await book.close()


async def test_a_failed_book_can_be_read_and_closed(path: Path) -> None:
    book = open_book(path)
    await commit(book, put_stage(), open_session(), put("p"), append("p"))
    breaking = apsw.Connection(str(path))
    breaking.execute("CREATE TRIGGER broken BEFORE INSERT ON event BEGIN SELECT RAISE (ABORT, 'broken store'); END")
    breaking.close()
    left = ParticipantRecord(participant_id="p", state=ParticipantState.CONNECTED)
    with pytest.raises(BookFailedError, match="broken store"):
        await commit(book, put(left), append("p", EventName.LEFT))
    for _ in range(2):  # a transaction that is refused leaves nothing behind that the next one would contradict
        with pytest.raises(BookFailedError, match="broken store"):
            book.submit([put_stage(f"{ARN}9"), open_session("st-9", arn=f"{ARN}9")])
    assert len(book.list_events(ARN, SESSION, "p")) == 1
    assert book.get_participant(ARN, SESSION, "p") == ParticipantRecord(participant_id="p")
    await book.close()


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("replace", [False, True], ids=["deleted", "replaced"])
async def test_nothing_is_acknowledged_after_a_file_was_deleted_or_replaced(
    path: Path, suffix: str, *, replace: bool
) -> None:
    book = open_book(path)
    await commit(book, put_stage())
    file = path.with_name(path.name + suffix)
    if replace:
        copy = path.with_name("copy")
        copy.write_bytes(file.read_bytes())
        copy.replace(file)
    else:
        file.unlink()

    submissions = [book.submit([put_stage(f"{ARN}{number}")]) for number in range(40)]
    results = await asyncio.gather(*(one.durable for one in submissions), return_exceptions=True)

    assert {type(result) for result in results} == {BookFailedError}
    word = "replaced" if replace else "deleted"
    with pytest.raises(BookFailedError, match=f"{file} was {word} while the server had it open.*restore a backup"):
        book.submit([put_stage()])
    assert await book.wait_ended() is not None
    await book.close()


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A symbolic link to the path of a book in another folder."""
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere" / "book")
    return link


async def test_a_book_behind_a_symbolic_link_stays_in_place(link: Path) -> None:
    book = open_book(link)
    await commit(book, put_stage())
    await commit(book, put_stage(ARN + "2"))
    assert book.count_stages(ACCOUNT) == 2
    await book.close()
