"""The reconnect window: how a replica waits for its publisher, and for how long."""

import pytest

from stagebook.media.port import CloseCause
from stagebook.stage.errors import AttemptRefusedError, ConflictError
from stagebook.stage.events import Cause
from stagebook.stage.resources import ParticipantState, ReplicationState
from tests.manager.manager_harness import LINGER_MS, ManagerHarness
from tests.manager.replicated_pair import (
    ENDED_THERE,
    GIVEN_UP_HERE,
    GIVEN_UP_THERE,
    LEFT_HERE,
    PUBLISHED,
    WAITS_THERE,
    WATCHED,
    Pair,
    Transactions,
    make_pair,
)


@pytest.fixture
async def pair(harness: ManagerHarness) -> Pair:
    return await make_pair(harness)


async def test_within_the_window_a_publisher_reappears_on_both_stages(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.watch()
    transactions = Transactions(harness.book)
    harness.engine.lose(pair.publication)
    assert await pair.told(pair.here) == LEFT_HERE
    assert await pair.told(pair.there) == WAITS_THERE
    assert await pair.told(pair.there, "V") == WATCHED
    assert await pair.states() == ["ACTIVE"]
    assert (await pair.row(pair.there)).state is ParticipantState.CONNECTED

    harness.clock.ms += 29_999
    harness.manager.tick()
    await pair.come_back()
    await pair.watch()

    assert await pair.told(pair.here) == [*LEFT_HERE, *PUBLISHED]
    assert await pair.told(pair.there) == [*WAITS_THERE, "PUBLISH_STARTED*"]
    assert await pair.told(pair.there, "V") == [*WATCHED, "JOINED", "SUBSCRIBE_STARTED(P)*"]
    both = {pair.here.arn, pair.there.arn}
    assert [each for each in transactions.stages if len(each) == 2] == [both, both]
    harness.clock.ms += 60_000
    harness.manager.tick()
    assert await pair.states() == ["ACTIVE"]


async def test_while_a_replica_waits_it_cannot_be_watched(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.leave()

    with pytest.raises(AttemptRefusedError):
        await pair.watch()

    assert await pair.told(pair.there, "V") == ["SUBSCRIBE_ERROR(P):PUBLISHER_NOT_FOUND*"]


async def test_the_window_runs_out(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.leave()
    harness.clock.ms += 29_999
    harness.manager.tick()
    before = await pair.told(pair.here), await pair.told(pair.there)
    transactions = Transactions(harness.book)

    harness.clock.ms += 1
    harness.manager.tick()

    assert before == (LEFT_HERE, WAITS_THERE)
    assert await pair.told(pair.here) == GIVEN_UP_HERE
    assert await pair.told(pair.there) == GIVEN_UP_THERE
    assert transactions.stages == [{pair.here.arn, pair.there.arn}]
    assert await pair.states() == ["STOPPED"]
    assert await pair.causes(pair.here, 1) == await pair.causes(pair.there, 1) == {Cause.PUBLISHER_STOPPED}
    assert (await pair.row(pair.here)).replication_state is ReplicationState.STOPPED


async def test_a_session_that_awaits_its_publisher_outlasts_its_linger(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=300)
    await pair.leave()
    for _ in range(3):
        harness.clock.ms += 100_000
        harness.manager.tick()
    stopped_ms = harness.clock.ms
    open_still = harness.book.get_session(pair.here.arn, harness.session_id(pair.here))
    harness.clock.ms += LINGER_MS
    harness.manager.tick()
    await harness.settled()

    session = harness.book.get_session(pair.here.arn, harness.session_id(pair.here))

    assert open_still is not None
    assert open_still.end_ms is None
    assert session is not None
    assert session.end_ms == stopped_ms + LINGER_MS
    assert len(harness.book.list_sessions(pair.here.arn, after=None, limit=9).items) == 1


async def test_who_was_back_without_media_was_not_back(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.leave()
    harness.clock.ms += 20_000
    await pair.come_back(connect=False)
    harness.engine.lose(pair.publication, CloseCause.NEVER_CONNECTED)
    assert await pair.told(pair.there) == WAITS_THERE

    harness.clock.ms += 10_000
    harness.manager.tick()

    assert await pair.told(pair.there) == GIVEN_UP_THERE


async def test_a_publisher_who_is_coming_back_as_the_window_runs_out_is_too_late(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.leave()
    harness.clock.ms += 30_000
    await pair.come_back(connect=False)
    harness.manager.tick()

    harness.engine.connect(pair.publication)

    assert await pair.told(pair.here) == [*LEFT_HERE, "JOINED", "REPLICATION_STOPPED>there", "PUBLISH_STARTED"]
    assert await pair.told(pair.there) == GIVEN_UP_THERE


async def test_a_window_starts_anew_with_every_stop(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.leave()
    harness.clock.ms += 20_000
    await pair.come_back()
    await pair.leave()

    harness.clock.ms += 20_000
    harness.manager.tick()

    assert (await pair.told(pair.there))[-2:] == ["PUBLISH_STARTED*", "PUBLISH_STOPPED*"]
    harness.clock.ms += 10_000
    harness.manager.tick()
    assert (await pair.told(pair.there))[-1] == "LEFT*"


async def test_two_windows_that_are_noticed_together_end_the_replication_once(pair: Pair) -> None:
    harness = pair.harness
    await pair.start(window_seconds=30)
    await pair.leave()
    await pair.come_back()
    await pair.leave()

    harness.clock.ms += 60_000
    harness.manager.tick()

    assert (await pair.told(pair.here)).count("REPLICATION_STOPPED>there") == 1
    assert (await pair.told(pair.there)).count("LEFT*") == 1


async def test_a_replication_that_waits_can_be_stopped_and_not_started_again(pair: Pair) -> None:
    await pair.start(window_seconds=30)
    await pair.leave()
    with pytest.raises(ConflictError):
        await pair.start()

    await pair.stop()

    assert await pair.told(pair.here) == GIVEN_UP_HERE
    assert await pair.told(pair.there) == GIVEN_UP_THERE


async def test_windows_are_each_replication_s_own(pair: Pair) -> None:
    elsewhere = await pair.harness.stage()
    await pair.start()
    await pair.start(to=elsewhere, window_seconds=30)

    await pair.leave()

    assert (await pair.told(pair.here))[4:] == ["PUBLISH_STOPPED", "REPLICATION_STOPPED>there", "LEFT"]
    assert await pair.told(pair.there) == ENDED_THERE
    assert await pair.told(elsewhere) == WAITS_THERE
    assert (await pair.row(pair.here)).replication_state is ReplicationState.ACTIVE


async def test_a_lost_engine_is_waited_for_like_a_lost_publisher(pair: Pair) -> None:
    await pair.start(window_seconds=30)

    pair.harness.engine.lose(pair.publication, CloseCause.ENGINE_LOST)
    await pair.come_back()

    assert await pair.told(pair.there) == [*WAITS_THERE, "PUBLISH_STARTED*"]
