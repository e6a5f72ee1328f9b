"""The threaded log has the events of the accounts that a node writes."""

import asyncio
import threading
from pathlib import Path

from stagebook.book.sqlite.open_readers import open_event_log
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.tables.followed_logs import ThreadedLog
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.stage.events import EventName
from tests.book.sample import ACCOUNT, append, commit, open_book, open_session, put, put_stage

OTHER_ACCOUNT = "999988887777"


async def filled_book(path: Path) -> tuple[SqliteBook, list[int]]:
    book = open_book(path)
    await commit(book, put_stage(), open_session(), put("p"))
    sequences: list[int] = []
    for name in (EventName.JOINED, EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED, EventName.LEFT):
        sequences += await commit(book, append("p", name))
    return book, sequences


async def test_events_of_owned_accounts_are_read_beside_the_loop(tmp_path: Path) -> None:
    book, sequences = await filled_book(tmp_path / "book")
    threads: list[int] = []

    def open_log() -> TableEventLog:
        threads.append(threading.get_ident())
        return open_event_log(tmp_path / "book")

    owned = [OTHER_ACCOUNT]
    log = ThreadedLog(open_log, account_ids=lambda: owned, durable_sequence=lambda: sequences[-1])
    assert log.last_sequence() == sequences[-1]
    assert await log.read_entries_after(0, limit=10) == []
    owned.append(ACCOUNT)
    first = await log.read_entries_after(0, limit=3)
    assert [each.sequence for each in first] == sequences[:3]
    assert [each.sequence for each in await log.read_entries_after(sequences[2], limit=3)] == sequences[3:]
    assert threads != [threading.get_ident()]
    assert len(threads) == 1
    await log.close()
    await book.close()


async def test_reads_at_the_same_time_follow_each_other(tmp_path: Path) -> None:
    book, sequences = await filled_book(tmp_path / "book")
    log = ThreadedLog(
        lambda: open_event_log(tmp_path / "book"), account_ids=lambda: [ACCOUNT], durable_sequence=lambda: 0
    )
    pages = await asyncio.gather(*(log.read_entries_after(0, limit=10) for _ in range(5)))
    assert [[each.sequence for each in page] for page in pages] == [sequences] * 5
    await log.close()
    await book.close()
