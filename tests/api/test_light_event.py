"""The event that websockets wait for, and the queue of what they receive."""

import asyncio

from stagebook.api.light_event import LightEvent, LightQueue


async def test_an_event_that_is_set_is_not_waited_for() -> None:
    event = LightEvent(is_set=True)
    await event.wait()
    assert event.is_set()


async def test_all_that_wait_go_on_when_it_is_set() -> None:
    event = LightEvent()
    waiting = [asyncio.create_task(event.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    event.set()
    await asyncio.gather(*waiting)


async def test_a_wait_after_a_clear_waits_for_the_next_set() -> None:
    event = LightEvent(is_set=True)
    event.clear()
    waiting = asyncio.create_task(event.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    event.set()
    await waiting


async def test_a_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    event = LightEvent()
    waiting = asyncio.create_task(event.wait())
    await asyncio.sleep(0)
    event.set()
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert waiting.cancelled()
    assert event._waiting == []


async def test_items_are_taken_in_their_order() -> None:
    queue: LightQueue[str] = LightQueue()
    taking = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not taking.done()
    queue.put_nowait("first")
    queue.put_nowait("second")
    assert queue.newest == "second"
    assert [await taking, await queue.get()] == ["first", "second"]
    assert queue.empty()
