"""The search for an owner: who is returned, who takes an account, and when it ends."""

import asyncio

import pytest
from structlog.testing import capture_logs

from stagebook.cluster import owner_search
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.directory import OwnerDirectory
from stagebook.cluster.owner_search import NoOwnerError, OwnerSearch
from stagebook.log_rate_limit import MAX_LINES
from tests.cluster.cluster_harness import ACCOUNT, OTHER_ACCOUNT, Leases, LocalLeases, Source

ME = AccountOwner(node="me", run_id=1, internal_url="http://127.0.0.1:1")
OTHER = AccountOwner(node="other", run_id=2, internal_url="http://127.0.0.1:2")
NEXT = AccountOwner(node="other", run_id=3, internal_url="http://127.0.0.1:2")


class Searching:
    """A search with leases that a test changes, and a clock that goes on with each pause."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.local = LocalLeases(self.leases, ME.run_id)
        self.local.me = ME
        self.directory = OwnerDirectory(Source(self.leases))
        self.now = 100.0
        self.search = OwnerSearch(
            self.local, self.directory, is_known=lambda account: account == OTHER_ACCOUNT, monotonic=lambda: self.now
        )


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch) -> Searching:
    made = Searching()

    async def pause(seconds: float) -> None:
        made.now += seconds

    # Pauses cost no time, but they move the clock.
    monkeypatch.setattr("stagebook.cluster.directory.MINIMUM_INTERVAL_SECONDS", 0)
    monkeypatch.setattr(owner_search, "asyncio", type("Pauses", (), {"sleep": staticmethod(pause)}))
    return made


async def test_accounts_of_the_directory_and_of_the_server_exist(searching: Searching) -> None:
    searching.leases.owners[ACCOUNT] = None
    await searching.directory.refresh()
    exist = [searching.search.exists(each) for each in (ACCOUNT, OTHER_ACCOUNT, "999999999999")]
    assert exist == [True, True, False]


async def test_this_node_is_none_and_another_one_is_found_without_a_refresh(searching: Searching) -> None:
    searching.leases.owners |= {ACCOUNT: ME, OTHER_ACCOUNT: OTHER}
    await searching.directory.refresh()
    reads = searching.leases.reads
    deadline = searching.search.deadline()
    assert await searching.search.find(ACCOUNT, deadline=deadline) is None
    assert await searching.search.find(OTHER_ACCOUNT, deadline=deadline) == OTHER
    assert searching.leases.reads == reads


async def test_an_account_without_an_owner_is_taken(searching: Searching) -> None:
    searching.local.can_acquire = True
    assert await searching.search.find(ACCOUNT, deadline=searching.search.deadline()) is None
    assert searching.local.acquired == [ACCOUNT]


async def test_the_search_ends_after_five_seconds(searching: Searching) -> None:
    with pytest.raises(NoOwnerError):
        await searching.search.find(ACCOUNT, deadline=searching.search.deadline())
    assert searching.now == pytest.approx(105.0, abs=0.2)
    assert searching.search.waiting == 0


async def test_an_owner_that_refused_is_returned_after_a_pause_and_another_one_at_once(searching: Searching) -> None:
    searching.leases.owners[ACCOUNT] = OTHER
    deadline = searching.search.deadline()
    assert await searching.search.wait(ACCOUNT, deadline=deadline, refused_by=OTHER.run_id) == OTHER
    assert searching.now > 100.0
    paused_at = searching.now
    searching.leases.owners[ACCOUNT] = NEXT
    assert await searching.search.wait(ACCOUNT, deadline=deadline, refused_by=OTHER.run_id) == NEXT
    assert searching.now == paused_at


async def test_an_account_that_this_run_has_lost_is_not_sent_to_itself(searching: Searching) -> None:
    searching.leases.owners[ACCOUNT] = ME
    await searching.directory.refresh()
    searching.local.run_id = 99
    assert searching.search.known_owner(ACCOUNT) == ME
    searching.local.run_id = ME.run_id
    assert searching.search.known_owner(ACCOUNT) is None


async def test_a_failure_to_take_an_account_is_logged_and_the_search_goes_on(
    searching: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_account_id: str) -> bool:
        searching.leases.owners[ACCOUNT] = OTHER
        raise OSError

    monkeypatch.setattr(searching.local, "acquire", fail)
    with capture_logs() as logs:
        assert await searching.search.find(ACCOUNT, deadline=searching.search.deadline()) == OTHER
    assert [line["log_level"] for line in logs] == ["error"]


async def test_failures_to_take_accounts_are_logged_a_few_times(
    searching: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_account_id: str) -> bool:
        raise OSError

    monkeypatch.setattr(searching.local, "acquire", fail)
    with capture_logs() as logs, pytest.raises(NoOwnerError):
        await searching.search.find(ACCOUNT, deadline=searching.search.deadline())
    assert len(logs) == MAX_LINES


async def test_only_so_many_requests_wait(searching: Searching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_search, "MAXIMUM_WAITING", 1)
    deadline = searching.search.deadline()
    first = asyncio.create_task(searching.search.find(ACCOUNT, deadline=deadline))
    await asyncio.sleep(0)
    with pytest.raises(NoOwnerError):
        await searching.search.find(ACCOUNT, deadline=deadline)
    first.cancel()
