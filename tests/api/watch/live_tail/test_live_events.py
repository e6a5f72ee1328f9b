"""One reader of the log for all clients: each event is read, encoded and matched once, and fanned out in slices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.watch.live_tail import live_events
from stagebook.api.watch.live_tail.event_stream_format import HEARTBEAT, DisconnectCode, event_message, position_message
from stagebook.api.watch.live_tail.live_events import TURN_STEPS, LiveEvents
from stagebook.api.watch.live_tail.live_reader import LiveReader
from stagebook.book.event_log import LoggedEvent
from stagebook.book.tables.followed_logs import ImmediateLog
from stagebook.history.event_query import EventFilter
from stagebook.stage.events import EventName
from tests.api.watch.live_tail.listed_log import EVERYTHING, ListedLog, allow, new_reader
from tests.history.logged import ACCOUNT


@asynccontextmanager
async def running(log: ListedLog, *, heartbeat_seconds: float = 60) -> AsyncIterator[LiveEvents]:
    live = LiveEvents(ImmediateLog(log), heartbeat_seconds=heartbeat_seconds)
    live.start()
    yield live
    await live.end()


def joined(live: LiveEvents, where: EventFilter = EVERYTHING) -> LiveReader:
    reader = new_reader(live, where)
    assert live.join(reader, live.position)
    return reader


async def received(reader: LiveReader) -> bytes:
    async with asyncio.timeout(10):
        while not (part := reader.take()):
            await reader.wait()
    return part


async def test_events_are_read_and_encoded_once_for_all_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    def counted(logged: LoggedEvent) -> bytes:
        encoded.append(logged.event_id)
        return event_message(logged)

    monkeypatch.setattr(live_events, "event_message", counted)
    log = ListedLog()
    async with running(log) as live:
        filters = [EVERYTHING, EventFilter(account_id=ACCOUNT, user_id="ann"), EventFilter(account_id="other")]
        readers = [joined(live, filters[number % 3]) for number in range(30)]
        events = [log.append() for _ in range(10)]
        live.note_durable()
        parts = [await received(reader) for reader in readers if reader.where != filters[2]]
        assert log.reads == 1
        assert encoded == [each.event_id for each in events]
        # Readers with the same filter share the same bytes.
        assert len({id(part) for part in parts}) == 2


async def test_many_readers_are_served_in_slices() -> None:
    log = ListedLog()
    async with running(log) as live:
        readers = [joined(live) for _ in range(10 * TURN_STEPS)]
        log.append()
        live.note_durable()
        served: list[int] = []
        async with asyncio.timeout(10):
            while len(readers) > (served[-1] if served else 0):
                await asyncio.sleep(0)
                served.append(sum(bool(reader.position > log.last - 1) for reader in readers))
        slices = [after - before for before, after in zip([0, *served], served, strict=False)]
        assert max(slices) <= TURN_STEPS


async def test_nothing_is_read_while_nobody_is_there() -> None:
    log = ListedLog()
    async with running(log) as live:
        log.append()
        live.note_durable()
        await asyncio.sleep(0.01)
        assert log.reads == 0
        reader = joined(live)
        event = log.append()
        live.note_durable()
        assert await received(reader) == event_message(event)


async def test_a_reader_with_another_filter_gets_nothing_and_its_position_with_the_heartbeat() -> None:
    log = ListedLog()
    async with running(log, heartbeat_seconds=0.01) as live:
        reader = joined(live, EventFilter(account_id=ACCOUNT, names=frozenset({EventName.LEFT})))
        assert await received(reader) == HEARTBEAT
        log.append()
        live.note_durable()
        while (part := await received(reader)) == HEARTBEAT:
            pass
        assert part == position_message(log.last)


async def test_a_reader_whose_access_ends_gets_no_more_events() -> None:
    log = ListedLog()
    is_revoked = False

    def check() -> None:
        if is_revoked:
            raise ApiRefusedError(status=401, code=ApiProblemCode.UNAUTHENTICATED, detail="revoked")

    async with running(log, heartbeat_seconds=0.01) as live:
        reader = live.open_reader(EVERYTHING, check_access=check)
        assert live.join(reader, live.position)
        is_revoked = True
        while reader.end is None:
            reader.take()  # the heartbeats before
            await reader.wait()
        log.append()
        live.note_durable()
        await asyncio.sleep(0.01)
        assert (reader.end, reader.take()) == (DisconnectCode.ACCESS_ENDED, b"")


async def test_a_failure_to_read_ends_the_readers_and_later_ones_are_served() -> None:
    log = ListedLog()
    async with running(log) as live:
        reader = joined(live)
        log.failure = RuntimeError("unreadable")
        log.append()
        live.note_durable()
        await reader.wait()
        assert reader.end is DisconnectCode.FAILED
        live.close_reader(reader)
        log.failure = None
        later = joined(live)
        event = log.append()
        live.note_durable()
        assert await received(later) == event_message(event)


async def test_the_last_events_are_delivered_before_the_end() -> None:
    log = ListedLog()
    live = LiveEvents(ImmediateLog(log), heartbeat_seconds=60)
    live.start()
    reader = joined(live)
    event = log.append(EventName.LEFT)
    await live.end()
    assert (reader.take(), reader.take(), reader.end) == (event_message(event), b"", DisconnectCode.STOPPING)
    late = live.open_reader(EVERYTHING, check_access=allow)
    assert late.end is DisconnectCode.STOPPING


async def test_a_closed_reader_leaves_nothing() -> None:
    log = ListedLog()
    async with running(log) as live:
        readers = [joined(live) for _ in range(3)]
        for reader in readers:
            live.close_reader(reader)
        assert not live.is_anybody_live
        log.append()
        live.note_durable()
        await asyncio.sleep(0.01)
        assert log.reads == 0


async def test_a_reader_that_is_ahead_of_the_others_gets_no_event_again() -> None:
    log = ListedLog()
    async with running(log) as live:
        reader = new_reader(live)
        log.append()
        assert live.join(reader, log.last)
        event = log.append()
        live.note_durable()
        assert await received(reader) == event_message(event)
