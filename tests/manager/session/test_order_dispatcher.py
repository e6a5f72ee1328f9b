"""The dispatcher: commands to the engine in order, held ends of sources, and closed websockets."""

import asyncio

import pytest

from stagebook.manager.session.order_dispatcher import OrderDispatcher
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.stage.session.orders import CancelTimer, CloseConnection, CloseEvents, CloseRoute, EndSource
from tests.manager.scripted_engine import ScriptedEngine


class Dispatched:
    """A dispatcher and what it has sent."""

    def __init__(self) -> None:
        self.engine = ScriptedEngine()
        self.closed_websockets: list[CloseEvents] = []
        self.dispatcher = OrderDispatcher(media=self.engine)
        self.dispatcher.close_events = self.closed_websockets.append


@pytest.fixture
def dispatched() -> Dispatched:
    return Dispatched()


async def test_connections_and_sources_are_ended_in_the_engine_with_their_details(dispatched: Dispatched) -> None:
    dispatched.dispatcher.carry_out(
        [
            CloseConnection(connection_id="one", detail="reason"),
            EndSource(source_id="source", detail="another reason"),
            CloseConnection(connection_id="two", as_failure=True),
        ]
    )
    await dispatched.dispatcher.settled()

    assert dispatched.engine.closed == ["one", "two"]
    assert dispatched.engine.failed == ["two"]
    assert dispatched.engine.ended_sources == ["source"]
    assert dispatched.engine.details == {"one": "reason", "source": "another reason", "two": ""}
    assert list(dispatched.engine.details) == ["one", "two", "source"]  # the source ends last


async def test_a_closed_websocket_is_reported_at_once(dispatched: Dispatched) -> None:
    order = CloseEvents(connection_id="ws")

    dispatched.dispatcher.carry_out([order])

    assert dispatched.closed_websockets == [order]


async def test_orders_that_only_concern_memory_are_skipped(dispatched: Dispatched) -> None:
    dispatched.dispatcher.carry_out([CloseRoute(connection_id="one"), CancelTimer(key="timer")])
    await dispatched.dispatcher.settled()

    assert dispatched.engine.closed == []


async def test_the_end_of_a_held_source_waits_for_the_engine_s_answer(dispatched: Dispatched) -> None:
    with dispatched.dispatcher.holding("source"):
        dispatched.dispatcher.carry_out([EndSource(source_id="source", detail="reason")])
        await dispatched.dispatcher.settled()
        assert dispatched.engine.ended_sources == []

    await dispatched.dispatcher.settled()
    assert dispatched.engine.ended_sources == ["source"]
    assert dispatched.engine.details["source"] == "reason"


async def test_a_source_that_two_offers_hold_waits_for_both(dispatched: Dispatched) -> None:
    with dispatched.dispatcher.holding("source"):
        with dispatched.dispatcher.holding("source"):
            dispatched.dispatcher.carry_out([EndSource(source_id="source")])
        await dispatched.dispatcher.settled()
        assert dispatched.engine.ended_sources == []

    await dispatched.dispatcher.settled()
    assert dispatched.engine.ended_sources == ["source"]


async def test_only_the_held_source_waits_and_nothing_is_ended_without_an_order(dispatched: Dispatched) -> None:
    with dispatched.dispatcher.holding("source"):
        dispatched.dispatcher.carry_out([EndSource(source_id="another")])
    await dispatched.dispatcher.settled()

    assert dispatched.engine.ended_sources == ["another"]


async def test_a_held_source_is_ended_also_after_a_failed_offer(dispatched: Dispatched) -> None:
    async def fail() -> None:
        with dispatched.dispatcher.holding("source"):
            dispatched.dispatcher.carry_out([EndSource(source_id="source")])
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="")

    with pytest.raises(MediaRefusedError):
        await fail()
    await dispatched.dispatcher.settled()

    assert dispatched.engine.ended_sources == ["source"]
    assert not dispatched.dispatcher._held
    assert not dispatched.dispatcher._delayed


async def test_settled_waits_for_commands_that_are_added_meanwhile(dispatched: Dispatched) -> None:
    done: list[str] = []

    async def second() -> None:
        await asyncio.sleep(0)
        done.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        dispatched.dispatcher.run(second())
        done.append("first")

    dispatched.dispatcher.run(first())
    await dispatched.dispatcher.settled()

    assert done == ["first", "second"]


async def test_a_command_that_fails_does_not_keep_the_others_waiting(dispatched: Dispatched) -> None:
    async def fail() -> None:
        raise OSError("the engine is lost")

    dispatched.dispatcher.run(fail())
    dispatched.dispatcher.carry_out([CloseConnection(connection_id="one")])
    await dispatched.dispatcher.settled()

    assert dispatched.engine.closed == ["one"]


async def test_a_caller_that_is_cancelled_while_it_waits_cancels_no_command(dispatched: Dispatched) -> None:
    may_end = asyncio.Event()
    done: list[str] = []

    async def command() -> None:
        await may_end.wait()
        done.append("command")

    dispatched.dispatcher.run(command())
    caller = asyncio.ensure_future(dispatched.dispatcher.settled())
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    may_end.set()
    await dispatched.dispatcher.settled()

    assert caller.cancelled()
    assert done == ["command"]
