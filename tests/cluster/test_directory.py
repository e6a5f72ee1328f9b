"""The directory of owners: refreshes, notifications, and a database that fails."""

import asyncio
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.directory import OwnerDirectory
from tests.cluster.cluster_harness import ACCOUNT, OTHER_ACCOUNT, until

OWNER = AccountOwner(node="a", run_id=7, internal_url="http://127.0.0.1:1")


class SlowSource:
    """Owners that a test changes. A read waits until `go` is set."""

    def __init__(self) -> None:
        self.found: Mapping[str, AccountOwner | None] = {ACCOUNT: OWNER, OTHER_ACCOUNT: None}
        self.reads = 0
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None

    async def owners(self) -> Mapping[str, AccountOwner | None]:
        self.reads += 1
        found = self.found
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return found


@pytest.fixture
def source() -> SlowSource:
    return SlowSource()


async def test_it_knows_owners_and_accounts_without_one(source: SlowSource) -> None:
    alive: list[frozenset[int]] = []
    directory = OwnerDirectory(source, on_refreshed=lambda runs, _: alive.append(runs))
    await directory.refresh()
    assert (directory.owner_of(ACCOUNT), directory.owner_of(OTHER_ACCOUNT)) == (OWNER, None)
    assert (directory.knows(OTHER_ACCOUNT), directory.knows("999999999999")) == (True, False)
    assert alive == [frozenset({7})]


async def test_a_run_whose_account_another_run_owns_is_replaced(source: SlowSource) -> None:
    replaced: list[frozenset[int]] = []
    directory = OwnerDirectory(source, on_refreshed=lambda _, runs: replaced.append(runs))
    taker = AccountOwner(node="b", run_id=8, internal_url="http://127.0.0.1:2")
    # After an outage of the database, all owners look dead for a moment. They are not replaced.
    for owner in (OWNER, None, OWNER, None, taker, taker):
        source.found = {ACCOUNT: owner}
        await directory.refresh()
    assert replaced == [frozenset(), frozenset(), frozenset(), frozenset(), frozenset({7}), frozenset()]


async def test_calls_share_a_refresh_that_began_after_them(source: SlowSource) -> None:
    directory = OwnerDirectory(source)
    source.go.clear()
    first = asyncio.create_task(directory.refresh())
    await until(lambda: source.reads == 1)
    source.found = {}
    others = [asyncio.create_task(directory.refresh()) for _ in range(50)]
    await asyncio.sleep(0)
    others[0].cancel()
    source.go.set()
    await asyncio.gather(first, *others[1:])
    assert source.reads == 2
    assert not directory.knows(ACCOUNT)


async def test_it_is_refreshed_at_once_after_a_notification(source: SlowSource) -> None:
    directory = OwnerDirectory(source, refresh_seconds=1_000)
    await directory.start()
    assert source.reads == 1
    source.found = {}
    directory.note_changed()
    await until(lambda: source.reads == 2)
    await until(lambda: not directory.knows(ACCOUNT))
    await directory.stop()


async def test_it_is_refreshed_again_and_again(source: SlowSource) -> None:
    directory = OwnerDirectory(source, refresh_seconds=0.01)
    await directory.start()
    await until(lambda: source.reads >= 3)
    await directory.stop()


async def test_while_the_database_fails_the_last_owners_stay(source: SlowSource) -> None:
    directory = OwnerDirectory(source)
    await directory.refresh()
    source.error = OSError("no connection")
    with capture_logs() as logs:
        await directory.refresh()
        await directory.refresh()
    assert directory.owner_of(ACCOUNT) == OWNER
    assert [line["reason"] for line in logs] == ["no connection"]
