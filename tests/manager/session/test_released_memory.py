"""Memory is what is open: when everything has ended, no session, route, timer or held order is left."""

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from stagebook.manager.session import session_registry, timer_queue
from stagebook.media.port import CloseCause, RefusalReason
from stagebook.stage.errors import StagebookError
from stagebook.stage.events import Cause
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import Capability, Stage
from tests.manager.manager_harness import ACCOUNT, CLIENT, LINGER_MS, ManagerHarness, Watcher
from tests.manager.own_tokens import own_tokens
from tests.manager.replicated_pair import make_pair

REPETITIONS = 200


async def everybody_leaves(harness: ManagerHarness) -> None:
    """End all connections, then let windows close and lingers end."""
    unit = harness.manager._unit
    for connection_id in tuple(unit.registry.routes):
        harness.engine.lose(connection_id)
    harness.clock.ms += 60_000
    harness.manager.tick()
    harness.clock.ms += LINGER_MS
    harness.manager.tick()
    await harness.settled()


def nothing_is_left(harness: ManagerHarness) -> None:
    unit = harness.manager._unit
    assert unit.registry.sessions == {}
    assert unit.registry.routes == {}
    assert unit.registry.cancelled == {}
    assert unit.registry.account_usage(ACCOUNT) == (0, 0)
    assert len(unit.timers) == 0
    assert unit.timers.size <= timer_queue._SLACK
    assert not unit.dispatcher._held
    assert unit.dispatcher._delayed == {}
    assert unit.dispatcher._tasks == set()
    assert unit.entries._departed == {}
    assert unit.entries._streams == {}
    assert unit.book.backlog == 0
    assert harness.book.list_open_sessions() == []


async def publishers_and_viewers(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    for number in range(5):
        await harness.publish(harness.claims(stage, f"P{number}"))
        await harness.subscribe(harness.claims(stage, f"V{number}"), f"P{number}")
        await harness.subscribe(harness.claims(stage, f"P{number}"), f"P{number}", connect=False)
    claims = harness.claims(stage, "W")
    connection_id = await harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT)
    await harness.manager.participants.close_events(connection_id=connection_id, cause=Cause.CLIENT)


async def replaced_publications(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    for connect in (True, False, False, True, False):
        await harness.publish(harness.claims(stage, "P"), connect=connect)


async def refused_and_failed_offers(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "P")
    for reason in RefusalReason:
        harness.engine.refuse = reason
        with pytest.raises(StagebookError):
            await harness.publish(claims)
    with pytest.raises(StagebookError):
        await harness.subscribe(claims, "nobody")
    with pytest.raises(StagebookError):
        await harness.publish(harness.claims(stage, "Q", Capability.SUBSCRIBE))


async def started_offer(harness: ManagerHarness, stage: Stage) -> "asyncio.Task[str]":
    """An offer of P that the engine does not answer yet."""
    harness.engine.hold = asyncio.Event()
    harness.engine.held.clear()
    offer = asyncio.create_task(harness.publish(harness.claims(stage, "P")))
    await harness.engine.held.wait()
    return offer


async def offers_that_are_cancelled_by_the_server(harness: ManagerHarness) -> None:
    for refuse in (None, RefusalReason.VIDEO_CODEC):
        stage = await harness.stage()
        offer = await started_offer(harness, stage)
        await harness.manager.stages.delete(stage_arn=stage.arn)
        harness.engine.refuse = refuse
        assert harness.engine.hold is not None
        harness.engine.hold.set()
        with pytest.raises(StagebookError):
            await offer


async def offers_whose_client_leaves(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    offer = await started_offer(harness, stage)
    offer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await offer


async def offers_whose_connection_is_lost_before_the_answer(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    offer = await started_offer(harness, stage)
    (connection_id,) = harness.manager._unit.registry.routes
    harness.engine.lose(connection_id, CloseCause.ENGINE_LOST)
    assert harness.engine.hold is not None
    harness.engine.hold.set()
    with pytest.raises(StagebookError):
        await offer


async def encoders(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    single, redundant = await harness.configuration(stage), await harness.configuration(stage, redundant=True)
    await harness.publish_rtmp(single.stream_key)
    await harness.refused_encoder(single.stream_key)
    for credential in redundant.redundant_credentials:
        await harness.publish_rtmp(credential.stream_key)
    await harness.subscribe(harness.claims(stage, "V"), redundant.participant_id)
    other = await harness.configuration(stage)
    harness.engine.refuse = RefusalReason.BUSY
    await harness.refused_encoder(other.stream_key)


async def replications(harness: ManagerHarness) -> None:
    pair = await make_pair(harness)
    await pair.start(window_seconds=30)
    await pair.start(to=await harness.stage())
    await pair.watch()
    await pair.unpublish()
    await pair.publish_again()
    await pair.stop()
    await pair.start(window_seconds=30)


async def exchanged_tokens(harness: ManagerHarness) -> None:
    own = await own_tokens(harness)
    claims = own.claims("A", *Capability)
    participants = harness.manager.participants
    connection_id = await participants.open_events(claims, watcher=Watcher(), client=CLIENT)
    await harness.publish(claims)
    await participants.exchange_token(connection_id=connection_id, token=own.token(own.claims("A")))


async def streams_that_last_too_long(harness: ManagerHarness) -> None:
    harness.set_limits(replace(RELAXED, duration_seconds=60))
    stage = await harness.stage()
    await harness.publish(harness.claims(stage, "P"))
    harness.clock.ms += 60_000
    harness.manager.tick()


@pytest.mark.parametrize(
    "scenario",
    [
        publishers_and_viewers,
        replaced_publications,
        refused_and_failed_offers,
        offers_that_are_cancelled_by_the_server,
        offers_whose_client_leaves,
        offers_whose_connection_is_lost_before_the_answer,
        encoders,
        replications,
        exchanged_tokens,
        streams_that_last_too_long,
    ],
    ids=lambda scenario: scenario.__name__,
)
async def test_nothing_is_left_when_all_participants_have_left(
    harness: ManagerHarness, scenario: Callable[[ManagerHarness], Awaitable[None]]
) -> None:
    await scenario(harness)

    await everybody_leaves(harness)

    nothing_is_left(harness)


async def test_nothing_is_left_after_a_shutdown(harness: ManagerHarness) -> None:
    for scenario in (publishers_and_viewers, replaced_publications, encoders, replications, exchanged_tokens):
        await scenario(harness)

    await harness.manager.shutdown()
    await harness.settled()

    nothing_is_left(harness)


async def test_a_deleted_stage_leaves_nothing(harness: ManagerHarness) -> None:
    pair = await make_pair(harness)
    await pair.start(window_seconds=30)
    await pair.watch()
    await pair.unpublish()

    await harness.manager.stages.delete(stage_arn=pair.source.arn)
    await harness.manager.stages.delete(stage_arn=pair.destination.arn)
    await harness.settled()

    nothing_is_left(harness)


async def test_many_short_streams_do_not_add_up(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    claims = harness.claims(stage, "P")
    for _ in range(300):
        await harness.manager.participants.close(claims, connection_id=await harness.publish(claims))
    await harness.settled()
    unit = harness.manager._unit

    assert len(unit.timers) == 1  # the linger
    assert unit.timers.size <= timer_queue._SLACK + 2
    assert unit.registry.routes == {}
    assert unit.entries._departed == {}
    assert unit.entries._streams == {}
    (session,) = unit.registry.sessions.values()
    assert (len(session.participants), len(session.sources), len(session.viewers)) == (0, 0, 0)


async def a_participant_leaves_an_open_session(harness: ManagerHarness, stage: Stage, number: int) -> None:
    claims = harness.claims(stage, f"participant-{number:09}")
    await harness.manager.participants.close(claims, connection_id=await harness.publish(claims))


async def a_session_ends(harness: ManagerHarness, stage: Stage, _number: int) -> None:
    (other,) = (each for each in harness.book.list_stages(ACCOUNT, after=None, limit=9).items if each.arn != stage.arn)
    claims = harness.claims(other, "P")
    await harness.manager.participants.close(claims, connection_id=await harness.publish(claims))
    harness.clock.ms += LINGER_MS
    harness.manager.tick()


async def a_media_connection_ends(harness: ManagerHarness, stage: Stage, _number: int) -> None:
    claims = harness.claims(stage, "V")
    await harness.manager.participants.close(claims, connection_id=await harness.subscribe(claims, "P"))


async def a_participant_is_refused(harness: ManagerHarness, stage: Stage, number: int) -> None:
    with pytest.raises(StagebookError):
        await harness.subscribe(harness.claims(stage, f"participant-{number:09}"), "nobody")


@pytest.mark.parametrize(
    "happens",
    [a_participant_leaves_an_open_session, a_session_ends, a_media_connection_ends, a_participant_is_refused],
    ids=lambda happens: happens.__name__,
)
async def test_what_is_over_keeps_no_memory(
    harness: ManagerHarness,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[ManagerHarness, Stage, int], Awaitable[None]],
) -> None:
    """All of it on stages that stay in use.

    What is kept of each, for example a key, would take at least 100 bytes: 20,000 in all. The event loop and the
    allocator keep 8,000 to 19,000 bytes once.
    """
    monkeypatch.setattr(session_registry, "ENDED_ROUTES", 1)
    stage, _ = await harness.stage(), await harness.stage()
    await harness.publish(harness.claims(stage, "P"))
    await harness.subscribe(harness.claims(stage, "V"), "P")
    for number in range(REPETITIONS):
        await happens(harness, stage, number)
    await _allocated_bytes(harness)

    tracemalloc.start()
    try:
        for number in range(REPETITIONS, 2 * REPETITIONS):
            await happens(harness, stage, number)
        kept = await _allocated_bytes(harness)
    finally:
        tracemalloc.stop()

    assert kept < 28_000


async def _allocated_bytes(harness: ManagerHarness) -> int:
    """Return what is allocated since tracemalloc was started, without the records of the scripted engine."""
    await harness.settled()
    engine = harness.engine
    lists = (engine.ended_sources, engine.closed, engine.failed)
    for record in (*lists, engine.connections, engine.details, engine.initial_layers):
        record.clear()
    gc.collect()
    return tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
