"""The reconnect window: how a replica waits for its publisher, and for how long."""

import pytest

from stagebook.media.port import CloseCause
from stagebook.stage.errors import AttemptRefusedError, ConflictError
from stagebook.stage.events import Cause
from stagebook.stage.resources import ParticipantState, ReplicationState
from tests.manager.manager_harness import LINGER_MS, ManagerHarness
from tests.manager.replicated_pair import (
    PUBLISHED,
    REPLICA_ENDED,
    REPLICA_PAUSED,
    REPLICA_WINDOW_CLOSED,
    SOURCE_LEFT,
    SOURCE_WINDOW_CLOSED,
    WATCHED,
    Pair,
    Transactions,
    make_pair,
)


@pytest.fixture
async def pair(harness: ManagerHarness) -> Pair:
    return await make_pair(harness)


async def test_a_publisher_that_returns_within_the_window_is_shown_on_both_stages(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.watch()
    transactions = Transactions(harness.book)
    harness.engine.lose(pair.publication)
    assert await pair.events(pair.source) == SOURCE_LEFT
    assert await pair.events(pair.destination) == REPLICA_PAUSED
    assert await pair.events(pair.destination, "V") == WATCHED
    assert await pair.states() == ["ACTIVE"]
    assert (await pair.row(pair.destination)).state is ParticipantState.CONNECTED

    harness.clock.ms += 29_999
    harness.manager.tick()
    await pair.publish_again()
    await pair.watch()

    assert await pair.events(pair.source) == [*SOURCE_LEFT, *PUBLISHED]
    assert await pair.events(pair.destination) == [*REPLICA_PAUSED, "PUBLISH_STARTED*"]
    assert await pair.events(pair.destination, "V") == [*WATCHED, "JOINED", "SUBSCRIBE_STARTED(P)*"]
    both = {pair.source.arn, pair.destination.arn}
    assert [each for each in transactions.stages if len(each) == 2] == [both, both]
    harness.clock.ms += 60_000
    harness.manager.tick()
    assert await pair.states() == ["ACTIVE"]


async def test_a_paused_replica_cannot_be_watched(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.unpublish()

    with pytest.raises(AttemptRefusedError):
        await pair.watch()

    assert await pair.events(pair.destination, "V") == ["SUBSCRIBE_ERROR(P):PUBLISHER_NOT_FOUND*"]


async def test_a_replication_ends_when_its_window_closes(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.unpublish()
    harness.clock.ms += 29_999
    harness.manager.tick()
    before = await pair.events(pair.source), await pair.events(pair.destination)
    transactions = Transactions(harness.book)

    harness.clock.ms += 1
    harness.manager.tick()

    assert before == (SOURCE_LEFT, REPLICA_PAUSED)
    assert await pair.events(pair.source) == SOURCE_WINDOW_CLOSED
    assert await pair.events(pair.destination) == REPLICA_WINDOW_CLOSED
    assert transactions.stages == [{pair.source.arn, pair.destination.arn}]
    assert await pair.states() == ["STOPPED"]
    assert await pair.causes(pair.source, 1) == await pair.causes(pair.destination, 1) == {Cause.PUBLISHER_STOPPED}
    assert (await pair.row(pair.source)).replication_state is ReplicationState.STOPPED


async def test_a_session_does_not_end_while_its_publisher_is_awaited(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=300)
    await pair.unpublish()
    for _ in range(3):
        harness.clock.ms += 100_000
        harness.manager.tick()
    stopped_ms = harness.clock.ms
    open_still = harness.book.get_session(pair.source.arn, harness.session_id(pair.source))
    harness.clock.ms += LINGER_MS
    harness.manager.tick()
    await harness.settled()

    session = harness.book.get_session(pair.source.arn, harness.session_id(pair.source))

    assert open_still is not None
    assert open_still.end_ms is None
    assert session is not None
    assert session.end_ms == stopped_ms + LINGER_MS
    assert len(harness.book.list_sessions(pair.source.arn, after=None, limit=9).items) == 1


async def test_a_publisher_that_returns_without_media_does_not_resume_its_replica(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.unpublish()
    harness.clock.ms += 20_000
    await pair.publish_again(connect=False)
    harness.engine.lose(pair.publication, CloseCause.NEVER_CONNECTED)
    assert await pair.events(pair.destination) == REPLICA_PAUSED

    harness.clock.ms += 10_000
    harness.manager.tick()

    assert await pair.events(pair.destination) == REPLICA_WINDOW_CLOSED


async def test_a_publisher_that_connects_after_the_window_has_closed_is_too_late(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.unpublish()
    harness.clock.ms += 30_000
    await pair.publish_again(connect=False)
    harness.manager.tick()

    harness.engine.connect(pair.publication)

    assert await pair.events(pair.source) == [
        *SOURCE_LEFT,
        "JOINED",
        "REPLICATION_STOPPED>destination",
        "PUBLISH_STARTED",
    ]
    assert await pair.events(pair.destination) == REPLICA_WINDOW_CLOSED


async def test_each_stop_opens_a_new_window(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.unpublish()
    harness.clock.ms += 20_000
    await pair.publish_again()
    await pair.unpublish()

    harness.clock.ms += 20_000
    harness.manager.tick()

    assert (await pair.events(pair.destination))[-2:] == ["PUBLISH_STARTED*", "PUBLISH_STOPPED*"]
    harness.clock.ms += 10_000
    harness.manager.tick()
    assert (await pair.events(pair.destination))[-1] == "LEFT*"


async def test_a_replication_that_was_paused_twice_ends_once(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.unpublish()
    await pair.publish_again()
    await pair.unpublish()

    harness.clock.ms += 60_000
    harness.manager.tick()

    assert (await pair.events(pair.source)).count("REPLICATION_STOPPED>destination") == 1
    assert (await pair.events(pair.destination)).count("LEFT*") == 1


async def test_a_waiting_replication_can_be_stopped_but_not_started_again(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.unpublish()
    with pytest.raises(ConflictError):
        await pair.start()

    await pair.stop()

    assert await pair.events(pair.source) == SOURCE_WINDOW_CLOSED
    assert await pair.events(pair.destination) == REPLICA_WINDOW_CLOSED


async def test_each_replication_has_its_own_window(pair: Pair) -> None:
    elsewhere = await pair.harness.stage()
    await pair.start()
    await pair.start(to=elsewhere, window_seconds=30)

    await pair.unpublish()

    assert (await pair.events(pair.source))[4:] == ["PUBLISH_STOPPED", "REPLICATION_STOPPED>destination", "LEFT"]
    assert await pair.events(pair.destination) == REPLICA_ENDED
    assert await pair.events(elsewhere) == REPLICA_PAUSED
    assert (await pair.row(pair.source)).replication_state is ReplicationState.ACTIVE


async def test_a_replication_waits_after_a_lost_engine(pair: Pair) -> None:
    await pair.start(window_seconds=30)

    pair.harness.engine.lose(pair.publication, CloseCause.ENGINE_LOST)
    await pair.publish_again()

    assert await pair.events(pair.destination) == [*REPLICA_PAUSED, "PUBLISH_STARTED*"]
