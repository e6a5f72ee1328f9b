"""The table of faults: which calls get which fault, and how often."""

import asyncio

import pytest

from stagebook.api import fault_table
from stagebook.api.fault_table import FaultKind, FaultTable
from stagebook.stage.errors import ServerBusyError

ONE, OTHER = "111111111111", "222222222222"


def kinds(table: FaultTable, *calls: tuple[str, str]) -> list[str | None]:
    taken = [table.take(operation, account_id) for operation, account_id in calls]
    return [None if fault is None else fault.kind.value for fault in taken]


def test_a_fault_is_for_so_many_calls() -> None:
    table = FaultTable()
    table.add(operation="GetStage", kind=FaultKind.CUT, times=2)

    assert kinds(table, *[("GetStage", ONE)] * 3) == ["CUT", "CUT", None]
    assert table.all == ()


def test_another_operation_is_not_counted() -> None:
    table = FaultTable()
    fault = table.add(operation="GetStage", kind=FaultKind.CUT, times=1)

    assert kinds(table, ("ListStages", ONE)) == [None]
    assert table.all == (fault,)


def test_a_fault_can_be_for_one_account() -> None:
    table = FaultTable()
    table.add(operation="GetStage", kind=FaultKind.CUT, times=1, account_id=ONE)

    assert kinds(table, ("GetStage", OTHER), ("GetStage", ONE)) == [None, "CUT"]


def test_a_fault_can_be_for_all_operations() -> None:
    table = FaultTable()
    table.add(operation="*", kind=FaultKind.CUT, times=2)

    assert kinds(table, ("GetStage", ONE), ("ListStages", OTHER)) == ["CUT", "CUT"]


def test_a_call_without_an_account_takes_only_what_names_it() -> None:
    table = FaultTable()
    table.add(operation="*", kind=FaultKind.CUT, times=1)
    table.add(operation="Publish", kind=FaultKind.CUT, times=1, account_id=ONE)
    assert table.take_named("Publish") is None

    fault = table.add(operation="Publish", kind=FaultKind.SLOW, times=1)
    assert table.take_named("Subscribe") is None
    assert table.take_named("Publish") == fault
    assert table.take_named("Publish") is None


def test_faults_happen_in_the_order_in_which_they_were_set() -> None:
    table = FaultTable()
    table.add(operation="GetStage", kind=FaultKind.THROTTLING, times=2)
    table.add(operation="*", kind=FaultKind.INTERNAL_ERROR, times=1)

    assert kinds(table, *[("GetStage", ONE)] * 4) == ["THROTTLING", "THROTTLING", "INTERNAL_ERROR", None]


def test_a_fault_can_be_removed() -> None:
    table = FaultTable()
    fault = table.add(operation="GetStage", kind=FaultKind.CUT, times=1)

    assert table.remove(fault.id)
    assert not table.remove(fault.id)
    assert kinds(table, ("GetStage", ONE)) == [None]


def test_all_faults_can_be_removed() -> None:
    table = FaultTable()
    table.add(operation="GetStage", kind=FaultKind.CUT, times=1)
    table.clear()

    assert table.all == ()


def test_their_number_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault_table, "MAXIMUM_FAULTS", 1)
    table = FaultTable()
    table.add(operation="GetStage", kind=FaultKind.CUT, times=1)

    with pytest.raises(ServerBusyError, match="1 faults are set"):
        table.add(operation="GetStage", kind=FaultKind.CUT, times=1)


async def test_a_server_that_stops_waits_for_no_delay() -> None:
    table = FaultTable()
    delay = asyncio.create_task(table.delay(3_600.0))
    await asyncio.sleep(0)
    assert not delay.done()

    table.end_delays()

    await delay
    await table.delay(3_600.0)
