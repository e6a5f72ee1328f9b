"""A publisher that sends a second WHIP offer: the publication moves when the second connection connects."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.port import CloseCause, RefusalReason
from stagebook.stage.errors import AttemptRefusedError, TokenRefusal, TokenRefusedError
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import Stage
from tests.manager.manager_harness import ManagerHarness
from tests.manager.replicated_pair import REPLICA_PUBLISHED, make_pair

PUBLISHED = ["JOINED", "PUBLISH_STARTED"]
WATCHING = ["JOINED", "SUBSCRIBE_STARTED(P)"]


@pytest.fixture
async def stage(harness: ManagerHarness) -> Stage:
    return await harness.stage()


@pytest.fixture
async def first(harness: ManagerHarness, stage: Stage) -> str:
    """P publishes and V watches it; the id of P's connection."""
    connection_id = await harness.publish(harness.claims(stage, "P"))
    await harness.subscribe(harness.claims(stage, "V"), "P")
    return connection_id


async def offer_again(harness: ManagerHarness, stage: Stage) -> str:
    """Let P send another offer, which is answered and does not connect yet."""
    return await harness.publish(harness.claims(stage, "P"), connect=False)


async def nothing_changed(harness: ManagerHarness, stage: Stage) -> None:
    """P's publication and V's subscription go on without an event."""
    assert await harness.events(stage, "P") == PUBLISHED
    assert await harness.events(stage, "V") == WATCHING
    assert harness.engine.ended_sources == []


async def test_an_offer_that_never_connects_leaves_publication_and_viewers_untouched(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    second = await offer_again(harness, stage)

    harness.engine.lose(second, CloseCause.NEVER_CONNECTED)

    await nothing_changed(harness, stage)
    assert harness.engine.closed == [second]
    harness.engine.lose(first)
    assert await harness.events(stage, "P") == [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]
    assert harness.engine.ended_sources == [harness.engine.connections[first]]


async def test_a_client_that_withdraws_its_second_offer_keeps_the_first(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    second = await offer_again(harness, stage)

    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=second)

    await nothing_changed(harness, stage)
    assert first not in harness.engine.closed


async def test_the_publication_moves_when_the_second_offer_connects(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    second = await offer_again(harness, stage)
    await harness.settled()
    assert harness.engine.closed == []

    harness.engine.connect(second)

    await nothing_changed(harness, stage)
    assert harness.engine.closed == [first]
    assert harness.engine.connections[first] == harness.engine.connections[second]
    harness.engine.lose(second)
    assert (await harness.events(stage, "P"))[2:] == ["PUBLISH_STOPPED", "LEFT"]
    assert (await harness.events(stage, "V"))[2:] == ["SUBSCRIBE_STOPPED(P)", "LEFT"]


async def test_reports_about_the_superseded_connection_change_nothing(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    harness.engine.connect(await offer_again(harness, stage))

    harness.engine.connect(first)
    harness.engine.measure(first, has_b_frames=True)
    harness.engine.lose(first)

    await nothing_changed(harness, stage)


async def test_an_older_connection_that_connects_after_it_was_superseded_changes_nothing(
    harness: ManagerHarness, stage: Stage
) -> None:
    older = await harness.publish(harness.claims(stage, "P"), connect=False)
    newer = await harness.publish(harness.claims(stage, "P"))

    harness.engine.connect(older)

    assert await harness.events(stage, "P") == PUBLISHED
    assert harness.engine.closed == [older]
    assert list(harness.manager._unit.registry.routes) == [newer]


async def test_an_older_connection_that_connects_first_is_superseded_by_the_newer_one(
    harness: ManagerHarness, stage: Stage
) -> None:
    older = await harness.publish(harness.claims(stage, "P"), connect=False)
    newer = await offer_again(harness, stage)

    harness.engine.connect(older)
    harness.engine.connect(newer)

    assert await harness.events(stage, "P") == PUBLISHED
    assert harness.engine.closed == [older]


async def test_a_publication_that_ends_while_the_second_offer_opens_stops_and_starts_again(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    second = await offer_again(harness, stage)

    harness.engine.lose(first)
    assert await harness.events(stage, "P") == [*PUBLISHED, "PUBLISH_STOPPED"]
    assert await harness.events(stage, "V") == [*WATCHING, "SUBSCRIBE_STOPPED(P)", "LEFT"]
    assert harness.engine.ended_sources == []

    harness.engine.connect(second)
    assert await harness.events(stage, "P") == [*PUBLISHED, "PUBLISH_STOPPED", "PUBLISH_STARTED"]
    await harness.subscribe(harness.claims(stage, "V"), "P")
    assert (await harness.events(stage, "V"))[-1] == "SUBSCRIBE_STARTED(P)"


async def test_a_third_offer_replaces_the_second(harness: ManagerHarness, stage: Stage, first: str) -> None:
    second = await offer_again(harness, stage)
    third = await offer_again(harness, stage)
    await nothing_changed(harness, stage)
    assert harness.engine.closed == [second]

    harness.engine.connect(second)
    harness.engine.lose(second, CloseCause.NEVER_CONNECTED)
    await nothing_changed(harness, stage)
    assert harness.engine.closed == [second]

    harness.engine.connect(third)
    await nothing_changed(harness, stage)
    assert harness.engine.closed == [second, first]


async def test_a_repeated_report_of_a_connection_changes_nothing(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    harness.engine.connect(first)
    second = await offer_again(harness, stage)
    harness.engine.connect(second)
    harness.engine.connect(second)

    await nothing_changed(harness, stage)
    assert harness.engine.closed == [first]


async def test_a_second_offer_that_the_engine_refuses_is_an_error_of_its_own(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    harness.engine.refuse = RefusalReason.VIDEO_CODEC

    with pytest.raises(AttemptRefusedError):
        await offer_again(harness, stage)

    assert await harness.events(stage, "P") == [*PUBLISHED, "PUBLISH_ERROR:INVALID_VIDEO_CODEC"]
    assert await harness.events(stage, "V") == WATCHING
    assert harness.engine.ended_sources == []
    harness.engine.lose(first)
    assert (await harness.events(stage, "P"))[-2:] == ["PUBLISH_STOPPED", "LEFT"]


async def test_a_client_that_leaves_before_its_second_answer_keeps_the_first(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    harness.engine.hold = asyncio.Event()
    offer = asyncio.create_task(offer_again(harness, stage))
    await harness.engine.held.wait()

    offer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await offer

    await nothing_changed(harness, stage)
    assert first not in harness.engine.closed
    assert next(iter(harness.manager._unit.registry.routes)) == first


async def test_a_lost_engine_of_the_second_connection_is_an_error_and_the_first_goes_on(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    second = await offer_again(harness, stage)

    harness.engine.lose(second, CloseCause.ENGINE_LOST)

    assert await harness.events(stage, "P") == [*PUBLISHED, "PUBLISH_ERROR:INTERNAL_SERVER_EXCEPTION"]
    assert await harness.events(stage, "V") == WATCHING
    assert first not in harness.engine.closed


async def test_a_disconnected_publisher_loses_both_connections(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    second = await offer_again(harness, stage)

    await harness.manager.stages.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="")

    assert await harness.events(stage, "P") == [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]
    assert harness.engine.ended_sources == [harness.engine.connections[first]]
    assert not {first, second} & set(harness.manager._unit.registry.routes)


async def test_a_disconnected_publisher_cannot_finish_its_second_offer(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    harness.engine.hold = asyncio.Event()
    offer = asyncio.create_task(offer_again(harness, stage))
    await harness.engine.held.wait()
    await harness.manager.stages.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="")

    harness.engine.hold.set()

    with pytest.raises(TokenRefusedError) as refusal:
        await offer
    assert refusal.value.refusal is TokenRefusal.PARTICIPANT_DISCONNECTED
    assert await harness.events(stage, "P") == [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]
    assert harness.engine.ended_sources == [harness.engine.connections[first]]


async def test_replicas_stay_whether_the_second_offer_connects_or_not(harness: ManagerHarness) -> None:
    pair = await make_pair(harness)
    await pair.start()
    await pair.watch()

    harness.engine.lose(await offer_again(harness, pair.source), CloseCause.NEVER_CONNECTED)
    harness.engine.connect(await offer_again(harness, pair.source))

    assert await pair.events(pair.destination) == REPLICA_PUBLISHED
    assert await pair.events(pair.destination, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)*"]


async def test_the_maximum_duration_counts_from_the_connection_that_publishes(
    harness: ManagerHarness, stage: Stage
) -> None:
    harness.set_limits(replace(RELAXED, duration_seconds=60))
    await harness.publish(harness.claims(stage, "P"))
    harness.clock.ms += 40_000
    await harness.publish(harness.claims(stage, "P"))

    harness.clock.ms += 59_999
    harness.manager.tick()
    assert await harness.events(stage, "P") == PUBLISHED
    harness.clock.ms += 1
    harness.manager.tick()

    assert (await harness.events(stage, "P"))[2] == "PUBLISH_ERROR:STREAM_DURATION_EXCEEDED"


async def test_a_publisher_that_reconnects_needs_no_second_place_in_the_quotas(
    harness: ManagerHarness, stage: Stage, first: str
) -> None:
    harness.set_limits(replace(RELAXED, publishers_per_stage=1, publishers_per_account=1))

    harness.engine.connect(await offer_again(harness, stage))

    await nothing_changed(harness, stage)
    assert harness.engine.closed == [first]
    with pytest.raises(AttemptRefusedError):
        await harness.publish(harness.claims(stage, "Q"))


async def test_a_replacement_that_is_closed_before_its_connected_report_arrives_ends_the_publication(
    harness: ManagerHarness,
) -> None:
    """The engine has replaced the first connection already, so nobody else would end it."""
    stage = await harness.stage()
    first = await harness.publish(harness.claims(stage, "P"))
    second = await harness.publish(harness.claims(stage, "P"), connect=False)

    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=second)
    harness.engine.connect(second)
    harness.engine.lose(first, CloseCause.REPLACED)

    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]


async def test_a_replaced_page_that_asks_for_its_end_before_the_report_does_not_stop_the_publication(
    harness: ManagerHarness, stage: Stage, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine has closed the first connection, and its reports are on the way to the manager."""
    second = await offer_again(harness, stage)

    async def statistics(_connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        harness.engine.connect(second)
        harness.engine.lose(first, CloseCause.REPLACED)
        return ()

    monkeypatch.setattr(harness.engine, "statistics", statistics)
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=first)

    await nothing_changed(harness, stage)
