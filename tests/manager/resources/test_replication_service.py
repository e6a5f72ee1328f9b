"""A publisher that is replicated to another stage: its events, rows and viewers on both stages."""

import msgspec
import pytest

from stagebook.book.book_values import ParticipantFilter
from stagebook.stage.events import Cause
from stagebook.stage.resources import ParticipantState, ReplicationState, ReplicationType
from tests.manager.manager_harness import LINGER_MS, ManagerHarness
from tests.manager.replicated_pair import PUBLISHED, REPLICA_PUBLISHED, REPLICATED, Pair, make_pair


@pytest.fixture
async def pair(harness: ManagerHarness) -> Pair:
    return await make_pair(harness)


async def test_a_replica_joins_and_publishes_in_a_session_of_the_destination(pair: Pair) -> None:
    await pair.start()

    assert await pair.events(pair.source) == REPLICATED
    assert await pair.events(pair.destination) == REPLICA_PUBLISHED
    (replica,) = await pair.replicas()
    assert replica.source_stage_arn == pair.source.arn
    assert replica.source_session_id == pair.harness.session_id(pair.source)
    assert replica.participant_id == "P"
    assert replica.destination_stage_arn == pair.destination.arn
    assert replica.destination_session_id == pair.harness.session_id(pair.destination)
    assert replica.state is ReplicationState.ACTIVE


async def test_replication_started_names_the_destination(pair: Pair) -> None:
    await pair.start()
    session_id = pair.harness.session_id(pair.source)

    started = pair.harness.book.list_events(pair.source.arn, session_id, "P")[-1].event

    assert started.destination is not None
    assert started.destination.stage_arn == pair.destination.arn
    assert started.destination.session_id == pair.harness.session_id(pair.destination)
    assert started.cause is Cause.REPLICATION_API
    assert not started.replica


async def test_the_rows_of_source_and_replica_name_each_other(pair: Pair) -> None:
    await pair.start(role="guest")

    source, replica = await pair.row(pair.source), await pair.row(pair.destination)

    assert (source.replication_type, source.replication_state) == (ReplicationType.SOURCE, ReplicationState.ACTIVE)
    assert source.source_stage_arn is None
    assert (replica.replication_type, replica.replication_state) == (ReplicationType.REPLICA, ReplicationState.ACTIVE)
    assert replica.source_stage_arn == pair.source.arn
    assert replica.source_session_id == pair.harness.session_id(pair.source)
    assert replica.published
    assert replica.state is ParticipantState.CONNECTED
    assert replica.first_join_ms == pair.harness.clock.ms
    assert (replica.user_id, replica.client, replica.protocol) == (source.user_id, source.client, source.protocol)
    assert replica.attributes == {"role": "guest"}
    assert source.attributes == {}


async def test_given_attributes_are_laid_over_those_of_the_token(harness: ManagerHarness) -> None:
    here, there = await harness.stage(), await harness.stage()
    claims = msgspec.structs.replace(harness.claims(here, "P"), attributes={"role": "host", "team": "blue"})
    pair = Pair(harness=harness, source=here, destination=there, publication=await harness.publish(claims))

    await pair.start(role="guest")

    assert (await pair.row(there)).attributes == {"role": "guest", "team": "blue"}


async def test_viewers_of_the_destination_watch_the_source_itself(pair: Pair) -> None:
    harness = pair.harness
    await pair.start()

    subscription = await harness.subscribe(harness.claims(pair.destination, "V"), "P")

    assert harness.engine.connections[subscription] == harness.engine.connections[pair.publication]
    assert await pair.events(pair.destination, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)*"]


async def test_viewers_of_the_source_see_no_replica(pair: Pair) -> None:
    await pair.start()

    await pair.harness.subscribe(pair.harness.claims(pair.source, "V"), "P")

    assert await pair.events(pair.source, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)"]


async def test_stopping_ends_the_replica_and_its_viewers_only(pair: Pair) -> None:
    harness = pair.harness
    await pair.start()
    here = await harness.subscribe(harness.claims(pair.source, "V"), "P")
    there = await harness.subscribe(harness.claims(pair.destination, "V"), "P")

    await pair.stop()

    assert await pair.events(pair.source) == [*REPLICATED, "REPLICATION_STOPPED>destination"]
    assert await pair.events(pair.destination) == [*REPLICA_PUBLISHED, "PUBLISH_STOPPED*", "LEFT*"]
    assert await pair.events(pair.source, "V") == ["JOINED", "SUBSCRIBE_STARTED(P)"]
    assert await pair.events(pair.destination, "V") == [
        "JOINED",
        "SUBSCRIBE_STARTED(P)*",
        "SUBSCRIBE_STOPPED(P)*",
        "LEFT",
    ]
    assert harness.engine.closed == [there]
    assert harness.engine.ended_sources == []
    assert here not in harness.engine.closed
    assert await pair.states() == ["STOPPED"]
    source, replica = await pair.row(pair.source), await pair.row(pair.destination)
    assert source.replication_state is replica.replication_state is ReplicationState.STOPPED
    assert (source.replication_type, replica.replication_type) == (ReplicationType.SOURCE, ReplicationType.REPLICA)
    assert (source.state, replica.state) == (ParticipantState.CONNECTED, ParticipantState.DISCONNECTED)


async def test_a_replica_alone_keeps_its_session_open_until_it_leaves(pair: Pair) -> None:
    harness = pair.harness
    await pair.start()
    harness.clock.ms += 10 * LINGER_MS
    harness.manager.tick()
    await pair.stop()
    left_ms = harness.clock.ms
    harness.clock.ms += LINGER_MS
    harness.manager.tick()
    await harness.settled()

    session = harness.book.get_session(pair.destination.arn, harness.session_id(pair.destination))

    assert session is not None
    assert session.end_ms == left_ms + LINGER_MS


async def test_a_replication_that_starts_again_is_the_same_row_in_the_same_sessions(pair: Pair) -> None:
    await pair.start()
    await pair.stop()
    await pair.start()

    assert await pair.events(pair.destination) == [*REPLICA_PUBLISHED, "PUBLISH_STOPPED*", "LEFT*", *REPLICA_PUBLISHED]
    assert await pair.states() == ["ACTIVE"]
    everybody = ParticipantFilter()
    where = (pair.destination.arn, pair.harness.session_id(pair.destination))
    rows = pair.harness.book.list_participants(*where, where=everybody, after=None, limit=9).items
    assert [row.participant_id for row in rows] == ["P"]


async def test_a_source_is_active_until_its_last_replication_stopped(pair: Pair) -> None:
    elsewhere = await pair.harness.stage()
    await pair.start()
    await pair.start(to=elsewhere)

    await pair.stop()
    one_left = (await pair.row(pair.source)).replication_state
    await pair.stop(to=elsewhere)
    none_left = (await pair.row(pair.source)).replication_state

    assert (one_left, none_left) == (ReplicationState.ACTIVE, ReplicationState.STOPPED)
    assert (await pair.events(pair.source))[2:] == [
        "REPLICATION_STARTED>destination",
        "REPLICATION_STARTED>elsewhere",
        "REPLICATION_STOPPED>destination",
        "REPLICATION_STOPPED>elsewhere",
    ]


async def test_two_stages_can_replicate_to_each_other(pair: Pair) -> None:
    harness = pair.harness
    await harness.publish(harness.claims(pair.destination, "Q"))
    await pair.start()

    await harness.manager.replications.start(
        source_stage_arn=pair.destination.arn,
        destination_stage_arn=pair.source.arn,
        participant_id="Q",
        window_seconds=0,
        attributes={},
    )

    assert await pair.events(pair.source, "Q") == REPLICA_PUBLISHED
    assert await pair.events(pair.destination, "Q") == [*PUBLISHED, "REPLICATION_STARTED>source"]
