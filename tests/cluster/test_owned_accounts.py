"""The accounts that a run owns: each is recovered once, before it is served, and only as long as the lease says."""

import asyncio
from typing import Any

import pytest

from stagebook.book.book_errors import BookFailedError
from stagebook.cluster.owned_accounts import OwnedAccounts

ACCOUNT = "111122223333"


class ScriptedBook:
    """Implements `AccountBook`. `free` are the accounts that may be taken."""

    run_id = 7

    def __init__(self) -> None:
        self.owned_before = 10.0
        self.free = {ACCOUNT}
        self.asked: list[tuple[str, bool]] = []
        self.failure: Exception | None = None

    async def acquire(self, account_id: str, *, may_fence: bool) -> bool:
        """See `AccountBook`."""
        self.asked.append((account_id, may_fence))
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return account_id in self.free


class Run:
    """The accounts of one run over a `ScriptedBook`, at the time `now`."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - of OwnedAccounts
        self.book = ScriptedBook()
        self.now = 0.0
        self.recovered: list[str] = []
        self.recovery = asyncio.Event()
        self.recovery.set()
        self.accounts = OwnedAccounts(
            self.book,
            recover=self.recover,
            **({"may_fence": lambda: False} | options),
            monotonic=lambda: self.now,
        )

    async def recover(self, account_id: str) -> None:
        """Recover an account once `recovery` is set."""
        assert not self.accounts.owns(account_id)
        await self.recovery.wait()
        self.recovered.append(account_id)


async def test_an_account_is_served_after_its_recovery() -> None:
    run = Run()
    assert not run.accounts.owns(ACCOUNT)
    assert await run.accounts.acquire(ACCOUNT)
    assert run.accounts.owns(ACCOUNT)
    assert run.recovered == [ACCOUNT]
    assert run.accounts.account_ids == {ACCOUNT}
    assert run.accounts.run_id == 7


async def test_concurrent_calls_share_one_attempt_which_survives_a_cancelled_caller() -> None:
    run = Run()
    run.recovery.clear()
    callers = [asyncio.create_task(run.accounts.acquire(ACCOUNT)) for _ in range(3)]
    await asyncio.sleep(0.01)
    callers[0].cancel()
    run.recovery.set()
    assert await asyncio.gather(*callers[1:]) == [True, True]
    assert run.book.asked == [(ACCOUNT, False)]
    assert run.recovered == [ACCOUNT]


async def test_an_account_of_another_run_is_not_served() -> None:
    run = Run()
    run.book.free.clear()
    assert not await run.accounts.acquire(ACCOUNT)
    assert run.recovered == []
    assert not run.accounts.owns(ACCOUNT)


async def test_a_late_run_is_fenced_only_if_it_is_known_to_be_dead() -> None:
    run = Run(may_fence=lambda: True)
    await run.accounts.acquire(ACCOUNT)
    assert run.book.asked == [(ACCOUNT, True)]


async def test_an_account_is_not_served_when_the_lease_may_have_passed() -> None:
    run = Run()
    await run.accounts.acquire(ACCOUNT)
    run.now = run.book.owned_before
    assert not run.accounts.owns(ACCOUNT)
    assert not await run.accounts.acquire(ACCOUNT)
    assert len(run.book.asked) == 1
    run.book.owned_before += 1
    assert run.accounts.owns(ACCOUNT)


async def test_a_failure_reaches_every_caller_and_the_next_call_tries_again() -> None:
    run = Run()
    run.book.failure = BookFailedError("the database does not answer")
    results = await asyncio.gather(*(run.accounts.acquire(ACCOUNT) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in results] == [BookFailedError] * 2
    run.book.failure = None
    assert await run.accounts.acquire(ACCOUNT)


async def test_a_run_that_stops_takes_nothing_more_and_finishes_what_it_takes() -> None:
    run = Run()
    run.recovery.clear()
    taking = asyncio.create_task(run.accounts.acquire(ACCOUNT))
    await asyncio.sleep(0.01)
    stopping = asyncio.create_task(run.accounts.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    run.recovery.set()
    await stopping
    assert await taking
    assert not await run.accounts.acquire("444455556666")


async def test_a_failed_recovery_is_not_served() -> None:
    run = Run()

    async def fail(_account_id: str) -> None:
        raise BookFailedError("no")

    accounts = OwnedAccounts(run.book, recover=fail, may_fence=lambda: False, monotonic=lambda: 0.0)
    with pytest.raises(BookFailedError):
        await accounts.acquire(ACCOUNT)
    assert not accounts.owns(ACCOUNT)
