"""A stream from the past to what happens now: no event is missing and none comes twice, whatever happens meanwhile."""

import asyncio
import random
from contextlib import aclosing

import pytest

from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.watch.live_tail import live_events, tail_page
from stagebook.api.watch.live_tail.live_events import LiveEvents
from stagebook.book.book_errors import BookDamagedError
from stagebook.book.event_id import event_id, position_id, sequence_of_event
from stagebook.book.tables.followed_logs import ImmediateLog
from stagebook.history.event_query import EventFilter
from stagebook.stage.errors import ServerBusyError
from stagebook.stage.events import EventName
from tests.api.watch.live_tail.listed_log import EVERYTHING, DelayedLog, ListedLog, ReceivedEvents, stream
from tests.history.logged import ACCOUNT, SESSION

SEEDS = 300
ONLY_LEFT = EventFilter(account_id=ACCOUNT, names=frozenset({EventName.LEFT}))
LONG_AGO = position_id(0)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make batches and pages so small that a few events fill many."""
    monkeypatch.setattr(live_events, "BATCH_EVENTS", 3)
    monkeypatch.setattr(live_events, "RECENT_EVENTS", 5)
    monkeypatch.setattr(live_events, "TURN_STEPS", 2)
    monkeypatch.setattr(tail_page, "PAGE_EVENTS", 4)


async def turns(chance: random.Random) -> None:
    for _ in range(chance.randrange(4)):
        await asyncio.sleep(0)


async def append_at_random(log: ListedLog, live: LiveEvents, chance: random.Random) -> None:
    """Append events in bursts, now and then with sequence numbers that are no events."""
    for _ in range(chance.randrange(5, 30)):
        for _ in range(chance.randrange(6)):
            log.append(chance.choice([EventName.JOINED, EventName.LEFT]))
        log.last += chance.randrange(2)
        live.note_durable()
        await turns(chance)


async def follow_at_random(
    log: ListedLog, live: LiveEvents, chance: random.Random, received: ReceivedEvents, where: EventFilter
) -> None:
    """Follow the stream, cut it now and then, and resume, until the server ends it."""
    while received.disconnect is None:
        async with aclosing(await stream(live, log, after=received.last_event_id, where=where)) as messages:
            left = chance.randrange(1, 12)
            async for part in messages:
                received.receive(part)
                left -= 1
                if not left and received.disconnect is None:
                    break
                await turns(chance)
        await turns(chance)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("where", [EVERYTHING, ONLY_LEFT], ids=["everything", "filtered"])
async def test_whatever_the_order_of_steps_nothing_is_missing_and_nothing_comes_twice(where: EventFilter) -> None:
    for seed in range(SEEDS):
        chance = random.Random(seed)
        log = ListedLog()
        for _ in range(chance.randrange(20)):
            log.append(chance.choice([EventName.JOINED, EventName.LEFT]))
        live = LiveEvents(DelayedLog(log, chance), heartbeat_seconds=chance.choice([0, 60]))
        live.start()
        clients = [ReceivedEvents() for _ in range(3)]
        for client in clients:
            client.last_event_id = LONG_AGO
        following = [asyncio.create_task(follow_at_random(log, live, chance, each, where)) for each in clients]
        await append_at_random(log, live, chance)
        await live.end()
        await asyncio.gather(*following)
        expected = [each.event_id for each in log.events if where.matches(each)]
        for client in clients:
            # What was appended after the last position is for the server that the client connects to next.
            position = sequence_of_event(client.last_event_id or "")
            resumed = [each for each in expected if sequence_of_event(each) > position]
            assert client.ids + resumed == expected, f"seed {seed}"


async def first_parts(log: ListedLog, count: int, *, after: str) -> bytes:
    """Return the first parts of a stream."""
    live = LiveEvents(ImmediateLog(log), heartbeat_seconds=60)
    live.start()
    async with aclosing(await stream(live, log, after=after)) as messages:
        received = b"".join([await anext(messages) for _ in range(count)])
    await live.end()
    return received


async def test_a_client_resumes_after_the_event_it_names() -> None:
    log = ListedLog()
    first, second = log.append(), log.append(EventName.LEFT)
    received = await first_parts(log, 2, after=first.event_id)
    assert first.event_id.encode() not in received
    start = b"retry: 1\nid: " + position_id(first.sequence).encode() + b"\n\nid: "
    assert received.startswith(start + second.event_id.encode())


async def test_a_deleted_event_is_no_obstacle() -> None:
    log = ListedLog()
    deleted, kept = log.append(), log.append()
    del log.events[0]
    assert kept.event_id.encode() in await first_parts(log, 2, after=deleted.event_id)


@pytest.mark.parametrize("is_recent", [False, True])
async def test_an_event_of_another_book_is_refused(*, is_recent: bool) -> None:
    log = ListedLog()
    live = LiveEvents(ImmediateLog(log), heartbeat_seconds=60)
    if is_recent:
        live.open_reader(EVERYTHING, check_access=lambda: None)
        live.start()
    event = log.append()
    log.append()
    live.note_durable()
    await asyncio.sleep(0.01)
    foreign = event_id(event.sequence, session_id=SESSION, participant_id="of another book")
    assert live.remembers(event.sequence) is is_recent
    with pytest.raises(ApiRefusedError, match="Last-Event-ID"):
        await stream(live, log, after=foreign)
    if is_recent:
        await live.end()


async def test_a_position_newer_than_the_book_is_refused() -> None:
    log = ListedLog()
    log.append()
    with pytest.raises(ApiRefusedError, match="Last-Event-ID"):
        await stream(LiveEvents(ImmediateLog(log), heartbeat_seconds=60), log, after=position_id(log.last + 1))


async def test_a_filter_that_leaves_everything_out_still_advances_the_position() -> None:
    log = ListedLog()
    for _ in range(5):
        log.append()
    live = LiveEvents(ImmediateLog(log), heartbeat_seconds=60)
    live.start()
    received = ReceivedEvents()
    async with aclosing(await stream(live, log, after=LONG_AGO, where=ONLY_LEFT)) as messages:
        for _ in range(2):
            received.receive(await anext(messages))
    assert (received.ids, received.last_event_id) == ([], position_id(log.last))
    await live.end()


@pytest.mark.parametrize(
    ("failure", "code"), [(ServerBusyError("later"), "BUSY"), (BookDamagedError("damaged"), "FAILED")]
)
async def test_a_read_of_the_past_that_fails_ends_the_stream_with_its_position(failure: Exception, code: str) -> None:
    log = ListedLog()
    log.append()
    live = LiveEvents(ImmediateLog(log), heartbeat_seconds=60)
    messages = await stream(live, log, after=LONG_AGO)
    log.failure = failure
    received = ReceivedEvents()
    async for part in messages:
        received.receive(part)
    assert (received.disconnect, received.last_event_id, received.ids) == (code, LONG_AGO, [])


async def test_numbers_after_the_last_event_that_are_no_events_are_passed() -> None:
    log = ListedLog()
    log.append()
    log.last += 5  # the end of a session, or events that were deleted
    live = LiveEvents(ImmediateLog(log), heartbeat_seconds=60)
    live.start()
    received = ReceivedEvents()
    async with asyncio.timeout(10), aclosing(await stream(live, log, after=LONG_AGO)) as messages:
        for _ in range(3):
            received.receive(await anext(messages))
        assert received.last_event_id == position_id(log.last)
        event = log.append()
        live.note_durable()
        received.receive(await anext(messages))
    assert received.ids[-1] == event.event_id
    await live.end()
