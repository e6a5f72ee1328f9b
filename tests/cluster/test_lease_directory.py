"""The directory of a node over a real database: owners, accounts without one, and notifications."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from stagebook.book.postgres.leases.account_leases import LeaseChanges, take_account
from stagebook.book.postgres.leases.node_run import end_run, register_run
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import BookUnreachableError
from stagebook.cluster import lease_directory
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.lease_directory import LeaseDirectory
from tests.cluster.cluster_harness import ACCOUNT, OTHER_ACCOUNT


async def test_it_reads_the_owners_and_is_notified_of_others(postgres_book_url: str) -> None:
    connection = PostgresConnection(postgres_book_url)
    runs = [
        register_run(connection, node=name, internal_url=f"http://{name}:1", software_version="1")
        for name in ("first", "second")
    ]
    take_account(connection, ACCOUNT, run_id=runs[0])
    take_account(connection, OTHER_ACCOUNT, run_id=runs[1])
    directory = LeaseDirectory(postgres_book_url)
    changed = asyncio.Event()
    try:
        first, second = (
            AccountOwner(node=name, run_id=run_id, internal_url=f"http://{name}:1")
            for name, run_id in zip(("first", "second"), runs, strict=True)
        )
        assert await directory.owners() == {ACCOUNT: first, OTHER_ACCOUNT: second}
        end_run(connection, runs[0])
        assert await directory.owners() == {ACCOUNT: None, OTHER_ACCOUNT: second}
        directory.follow(changed.set)
        await asyncio.wait_for(changed.wait(), 20)  # it may have missed some before it listened
        changed.clear()
        take_account(connection, ACCOUNT, run_id=runs[1])
        await asyncio.wait_for(changed.wait(), 20)
        assert await directory.owners() == {ACCOUNT: second, OTHER_ACCOUNT: second}
    finally:
        await directory.close()
        connection.close()


async def test_an_outage_of_the_notifications_is_logged_once(
    postgres_book_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool | Exception] = [*[BookUnreachableError("cut off")] * 3, True, BookUnreachableError("again")]
    is_over = asyncio.Event()

    def wait(_changes: object, _seconds: float) -> bool:
        if not answers:
            loop.call_soon_threadsafe(is_over.set)
            time.sleep(0.01)
            return False
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(LeaseChanges, "wait", wait)
    monkeypatch.setattr(lease_directory, "RETRY_SECONDS", 0.0)
    directory = LeaseDirectory(postgres_book_url)
    try:
        with capture_logs() as lines:
            directory.follow(lambda: None)
            await asyncio.wait_for(is_over.wait(), 20)
        assert [line["reason"] for line in lines] == ["cut off", "again"]
    finally:
        await directory.close()


async def test_a_database_that_cannot_be_reached_is_an_error() -> None:
    with pytest.raises(BookUnreachableError):
        LeaseDirectory("postgresql://127.0.0.1:1/none")
