"""The budget of held input, and the flow control of a connection."""

import asyncio
from unittest.mock import Mock

from stagebook.server.http.connection_flow import INPUT_SHARE_BYTES, HeldInput, InputBudget, InputFlow


def test_the_budget_counts_what_all_connections_hold() -> None:
    budget = InputBudget(10_000)
    first, second = HeldInput(budget, Mock()), HeldInput(budget, Mock())
    assert first.charge(6_000)
    assert not second.charge(6_000)
    assert second.charge(INPUT_SHARE_BYTES), "a connection has a share of its own"
    first.charge(0)
    assert second.charge(6_000)
    second.charge(0)
    assert budget.used_bytes == 0


def test_the_connection_that_waits_longest_for_a_head_makes_room() -> None:
    budget = InputBudget(10_000)
    owners = [Mock(), Mock(), Mock()]
    first, second, third = (HeldInput(budget, owner) for owner in owners)
    for each in (first, second, first):
        assert each.charge(4_500, incomplete_bytes=4_500)
    assert third.charge(4_500)
    assert [owner.give_up_input.call_count for owner in owners] == [1, 0, 0]
    # A head that is complete does not give way, nor does a small one.
    second.charge(4_500)
    assert not third.charge(6_000, incomplete_bytes=6_000)
    assert [owner.give_up_input.call_count for owner in owners] == [1, 0, 0]
    for each in (second, third):
        each.charge(0)
    assert (budget.used_bytes, budget.incomplete) == (0, {})


def test_reading_goes_on_only_when_no_input_is_held() -> None:
    transport = Mock(spec=asyncio.Transport)
    owner = Mock(holds_input=True)
    flow = InputFlow(owner, transport)
    flow.pause_reading()
    flow.resume_reading()
    owner.schedule_decoding.assert_called_once_with()
    transport.resume_reading.assert_not_called()
    owner.holds_input = False
    flow.resume_reading()
    transport.resume_reading.assert_called_once_with()
