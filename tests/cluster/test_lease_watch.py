"""The watch over the leases: it takes what is abandoned, and survives an outage of the database."""

import asyncio
import random
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from stagebook.book.book_errors import BookFailedError
from stagebook.cluster.lease_watch import LeaseLook, LeaseWatch
from stagebook.cluster.owned_accounts import OwnedAccounts
from stagebook.stage.errors import ServerBusyError
from tests.cluster.test_owned_accounts import ACCOUNT, Run

OTHER = "444455556666"


class ScriptedLeases:
    """Implements `LeaseSource`: each look waits until it is `released`."""

    def __init__(self) -> None:
        self.abandoned: list[str] = []
        self.failure: BookFailedError | None = None
        self.looks: list[tuple[int, frozenset[str]]] = []
        self.pauses_seconds: list[float] = []
        self.released = asyncio.Semaphore(0)
        self.is_waiting = asyncio.Event()

    async def look(self, *, run_id: int, held: Collection[str]) -> LeaseLook:
        """See `LeaseSource`."""
        self.looks.append((run_id, frozenset(held)))
        if self.failure is not None:
            raise self.failure
        return LeaseLook(abandoned=tuple(self.abandoned), database_seconds=5.0)

    async def pause(self, seconds: float) -> None:
        """Wait until the next look is released."""
        self.pauses_seconds.append(seconds)
        self.is_waiting.set()
        await self.released.acquire()


class NotedContact:
    """Implements `Contact`: notes what it is told."""

    def __init__(self) -> None:
        self.notes: list[object] = []
        self.is_long = False

    def note_answer(self, now: float, *, database_seconds: float) -> None:
        """See `Contact`."""
        self.notes.append((now, database_seconds))

    def note_failure(self) -> None:
        """See `Contact`."""
        self.notes.append("failure")

    def may_take(self, now: float) -> bool:
        """See `Contact`."""
        return self.is_long and now == 3.0


class Watched:
    """A watch over scripted leases, at the time 3."""

    def __init__(self, accounts: OwnedAccounts) -> None:
        self.leases, self.contact = ScriptedLeases(), NotedContact()
        self.watch = LeaseWatch(
            self.leases,
            self.contact,
            accounts=accounts,
            chance=random.Random(1),
            monotonic=lambda: 3.0,
            pause=self.leases.pause,
        )

    async def look(self, count: int = 1) -> None:
        """Let the watch look, and return when it waits for the next look."""
        await self.leases.is_waiting.wait()
        for _ in range(count):
            self.leases.is_waiting.clear()
            self.leases.released.release()
            await self.leases.is_waiting.wait()


@asynccontextmanager
async def watching(run: Run) -> AsyncIterator[Watched]:
    watched = Watched(run.accounts)
    watched.watch.start()
    try:
        yield watched
    finally:
        await watched.watch.stop()


async def test_abandoned_accounts_are_taken() -> None:
    run = Run()
    run.book.free.add(OTHER)
    async with watching(run) as watched:
        watched.leases.abandoned = [ACCOUNT, OTHER]
        await watched.look(2)
    assert run.accounts.account_ids == {ACCOUNT, OTHER}
    assert watched.leases.looks == [(7, frozenset()), (7, frozenset({ACCOUNT, OTHER}))]
    assert watched.contact.notes == [(3.0, 5.0)] * 2


async def test_an_outage_interrupts_the_contact_and_the_watch_goes_on() -> None:
    run = Run()
    async with watching(run) as watched:
        watched.leases.failure = BookFailedError("the database does not answer")
        await watched.look()
        watched.leases.failure = None
        await watched.look()
    assert watched.contact.notes == ["failure", (3.0, 5.0)]


async def test_a_failure_of_one_account_does_not_keep_the_others() -> None:
    run = Run()
    run.book.failure = BookFailedError("no")
    async with watching(run) as watched:
        watched.leases.abandoned = [ACCOUNT, OTHER]
        await watched.look()
    assert {account for account, _ in run.book.asked} == {ACCOUNT, OTHER}


@pytest.mark.parametrize("failure", [ServerBusyError("too many reads are waiting"), RuntimeError("a defect")])
async def test_whatever_a_taking_raises_the_watch_goes_on(failure: Exception) -> None:
    run = Run()
    run.book.failure = failure
    async with watching(run) as watched:
        watched.leases.abandoned = [ACCOUNT]
        with capture_logs() as logs:
            await watched.look()
        run.book.failure = None
        await watched.look()
    assert [line["event"] for line in logs] == ["an account of a node that is gone could not be taken"]
    assert run.accounts.account_ids == {ACCOUNT}


async def test_looks_are_spread() -> None:
    run = Run()
    async with watching(run) as watched:
        await watched.look(20)
    waits = watched.leases.pauses_seconds
    assert 0.12 <= min(waits) < max(waits) <= 0.38
    assert len(set(waits)) > 10


async def test_whether_a_late_run_is_dead_depends_on_the_contact() -> None:
    watched = Watched(Run().accounts)
    assert not watched.watch.may_fence()
    watched.contact.is_long = True
    assert watched.watch.may_fence()
