"""The queue of reads: turns of the accounts, and its limits."""

import pytest

from stagebook.book.tables.pooled.account_queue import AccountQueue
from stagebook.stage.errors import ServerBusyError


def new_queue(*, running: int = 2, per_account: int = 3, waiting: int = 5) -> AccountQueue[str]:
    return AccountQueue(running_per_account=running, waiting_per_account=per_account, waiting=waiting)


def put(queue: AccountQueue[str], *entries: str) -> None:
    """Put entries such as `a1`, whose account is the letter."""
    for entry in entries:
        queue.put(entry[0], entry)


def take_all(queue: AccountQueue[str]) -> list[str]:
    """Take what may be taken; everything stays in work."""
    taken = []
    while (entry := queue.take()) is not None:
        assert entry[0] == entry[1][0]
        taken.append(entry[1])
    return taken


def test_accounts_take_turns() -> None:
    queue = new_queue()
    put(queue, "a1", "a2", "b1", "c1")
    assert take_all(queue) == ["a1", "b1", "c1", "a2"]


def test_an_account_has_a_limited_number_in_work() -> None:
    queue = new_queue()
    put(queue, "a1", "a2", "a3", "b1")
    assert take_all(queue) == ["a1", "b1", "a2"]
    queue.finish("b")
    assert queue.take() is None
    queue.finish("a")
    assert take_all(queue) == ["a3"]


def test_an_account_has_a_limited_number_that_waits() -> None:
    queue = new_queue()
    put(queue, "a1", "a2", "a3")
    with pytest.raises(ServerBusyError, match="of this account"):
        queue.put("a", "a4")
    put(queue, "b1")
    queue.take()
    put(queue, "a4")
    assert len(queue) == 4


def test_all_accounts_have_a_limited_number_that_waits() -> None:
    queue = new_queue()
    put(queue, "a1", "a2", "b1", "b2", "c1")
    with pytest.raises(ServerBusyError, match="too many reads are waiting"):
        queue.put("d", "d1")
    assert len(queue) == 5


def test_an_entry_that_is_removed_is_not_taken() -> None:
    queue = new_queue()
    put(queue, "a1", "a2", "b1")
    queue.remove("a", "a1")
    queue.remove("b", "b1")
    queue.remove("b", "b1")
    queue.remove("c", "c1")
    assert len(queue) == 1
    assert take_all(queue) == ["a2"]


def test_drained_entries_are_forgotten() -> None:
    queue = new_queue(running=1)
    put(queue, "a1", "a2", "b1")
    queue.take()
    assert list(queue.drain()) == ["a2", "b1"]
    assert len(queue) == 0
    queue.finish("a")
    assert queue.take() is None


def test_nothing_is_kept_of_an_account_without_entries() -> None:
    queue = new_queue()
    put(queue, "a1", "b1")
    queue.remove("b", "b1")
    take_all(queue)
    queue.finish("a")
    assert queue._accounts == {}
    assert queue._ready == {}
