"""Refused replications: unknown stages, participants that do not publish, taken ids and reached quotas."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from stagebook.stage.errors import (
    AttemptRefusedError,
    ConflictError,
    InvalidInputError,
    ResourceNotFoundError,
    ServiceQuotaExceededError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import ErrorCode
from stagebook.stage.limits import STRICT
from stagebook.stage.resources import ReplicationType
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher, running_manager
from tests.manager.replicated_pair import PUBLISHED, REPLICA_PUBLISHED, Pair, make_pair


@pytest.fixture
async def pair(harness: ManagerHarness) -> Pair:
    return await make_pair(harness)


async def test_only_a_publisher_is_replicated(pair: Pair) -> None:
    harness = pair.harness
    with pytest.raises(ResourceNotFoundError, match="participant Nobody"):
        await start(pair, "Nobody")
    await harness.manager.participants.open_events(harness.claims(pair.source, "W"), watcher=Watcher(), client=CLIENT)
    with pytest.raises(ConflictError, match="not publishing"):
        await start(pair, "W")
    await harness.publish(harness.claims(pair.source, "Opening"), connect=False)
    with pytest.raises(ConflictError, match="not publishing"):
        await start(pair, "Opening")
    await pair.unpublish()
    await harness.settled()
    with pytest.raises(ConflictError, match="not publishing"):
        await pair.start()
    assert harness.book.list_sessions(pair.destination.arn, after=None, limit=1).items == []


async def start(pair: Pair, participant_id: str) -> None:
    await pair.harness.manager.replications.start(
        source_stage_arn=pair.source.arn,
        destination_stage_arn=pair.destination.arn,
        participant_id=participant_id,
        window_seconds=0,
        attributes={},
    )


async def test_both_stages_must_exist_and_differ(pair: Pair) -> None:
    gone = await pair.harness.stage()
    await pair.harness.manager.stages.delete(stage_arn=gone.arn)

    with pytest.raises(ResourceNotFoundError, match=gone.arn):
        await pair.start(to=gone)
    with pytest.raises(ResourceNotFoundError, match=gone.arn):
        await pair.stop(to=gone)
    with pytest.raises(InvalidInputError, match="destinationStageArn"):
        await pair.start(to=pair.source)
    gone_source = msgspec.structs.replace(pair.source, arn=gone.arn)
    with pytest.raises(ResourceNotFoundError, match=gone.arn):
        await Pair(harness=pair.harness, source=gone_source, destination=pair.destination, publication="").start()


async def test_attributes_have_a_maximum_size(pair: Pair) -> None:
    with pytest.raises(InvalidInputError, match="attributes"):
        await pair.start(role="é" * 511)
    await pair.start(role="é" * 510)


async def test_a_replication_runs_once(pair: Pair) -> None:
    outcomes = await asyncio.gather(pair.start(), pair.start(), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), ConflictError]
    assert await pair.events(pair.destination) == REPLICA_PUBLISHED


async def test_a_replication_stops_once(pair: Pair) -> None:
    await pair.start()

    outcomes = await asyncio.gather(pair.stop(), pair.stop(), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), ResourceNotFoundError]
    with pytest.raises(ResourceNotFoundError, match="replication"):
        await pair.stop()


async def test_a_replica_cannot_be_replicated(pair: Pair) -> None:
    await pair.start()
    onward = Pair(harness=pair.harness, source=pair.destination, destination=await pair.harness.stage(), publication="")

    with pytest.raises(ConflictError, match="is a replica"):
        await onward.start()


async def test_a_participant_with_the_same_id_refuses_the_replica(pair: Pair) -> None:
    harness = pair.harness
    own = await harness.publish(harness.claims(pair.destination, "P"))
    with pytest.raises(ConflictError, match="of its own"):
        await pair.start()
    await harness.manager.participants.close(harness.claims(pair.destination, "P"), connection_id=own)

    await pair.start()

    assert await pair.events(pair.destination) == [*PUBLISHED, "PUBLISH_STOPPED", "LEFT", *REPLICA_PUBLISHED]
    assert (await pair.row(pair.destination)).replication_type is ReplicationType.REPLICA


async def test_an_awaited_participant_with_the_same_id_refuses_the_replica(pair: Pair) -> None:
    own = await pair.harness.publish(pair.harness.claims(pair.destination, "P"))
    namesake = Pair(
        harness=pair.harness, source=pair.destination, destination=await pair.harness.stage(), publication=own
    )
    await namesake.start(window_seconds=30)
    await namesake.unpublish()

    with pytest.raises(ConflictError, match="of its own"):
        await pair.start()


async def test_a_replica_refuses_a_participant_with_the_same_id_until_it_leaves(pair: Pair) -> None:
    harness, claims = pair.harness, pair.harness.claims(pair.destination, "P")
    await pair.start()
    for attempt in (
        harness.publish(claims),
        harness.subscribe(claims, "P"),
        harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT),
    ):
        with pytest.raises(TokenRefusedError) as refusal:
            await attempt
        assert refusal.value.refusal is TokenRefusal.PARTICIPANT_REPLICATED
    assert await pair.events(pair.destination) == REPLICA_PUBLISHED
    await pair.stop()

    await harness.publish(claims)

    row = await pair.row(pair.destination)
    assert (row.replication_type, row.replication_state) == (ReplicationType.NONE, None)
    assert (row.source_stage_arn, row.source_session_id) == (None, None)
    assert await pair.events(pair.destination) == [*REPLICA_PUBLISHED, "PUBLISH_STOPPED*", "LEFT*", *PUBLISHED]


async def test_a_participant_with_the_id_of_a_former_replica_is_independent(pair: Pair) -> None:
    harness = pair.harness
    await harness.manager.participants.open_events(
        harness.claims(pair.destination, "W"), watcher=Watcher(), client=CLIENT
    )
    await pair.start()
    await pair.stop()
    await harness.settled()

    await harness.publish(harness.claims(pair.destination, "P"))

    assert (await pair.row(pair.destination)).replication_type is ReplicationType.NONE


async def test_an_offer_in_progress_is_refused_when_a_replica_takes_its_id(pair: Pair) -> None:
    harness = pair.harness
    harness.engine.hold = asyncio.Event()
    publishing = asyncio.ensure_future(harness.publish(harness.claims(pair.destination, "P")))
    await asyncio.sleep(0)

    await pair.start()
    harness.engine.hold.set()

    with pytest.raises(TokenRefusedError):
        await publishing
    assert await pair.events(pair.destination) == REPLICA_PUBLISHED
    assert len(harness.engine.closed) == 1


async def test_an_offer_to_watch_a_replica_is_refused_when_the_replica_leaves(pair: Pair) -> None:
    harness = pair.harness
    await pair.start()
    harness.engine.hold = asyncio.Event()
    watching = asyncio.ensure_future(harness.subscribe(harness.claims(pair.destination, "V"), "P"))
    await asyncio.sleep(0)

    await pair.stop()
    harness.engine.hold.set()

    with pytest.raises(AttemptRefusedError) as refusal:
        await watching
    assert refusal.value.code is ErrorCode.PUBLISHER_NOT_FOUND
    assert len(harness.engine.closed) == 1


async def test_replicas_count_as_publishers_of_their_stage(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(STRICT, publishers_per_stage=1)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        pair = await make_pair(harness)
        await pair.start()
        with pytest.raises(AttemptRefusedError):
            await harness.publish(harness.claims(pair.destination, "Q"))
        assert await pair.events(pair.destination, "Q") == ["PUBLISH_ERROR:QUOTA_EXCEEDED"]
        await pair.stop()
        await harness.publish(harness.claims(pair.destination, "Q"))
        with pytest.raises(ServiceQuotaExceededError, match="publishers of the destination stage"):
            await pair.start()


@pytest.mark.parametrize(
    ("quota", "maximum", "named"),
    [
        ("publishers_per_account", 1, "publishers of the account"),
        ("participants_per_stage", 1, "participants of the destination stage"),
        ("replications_per_participant", 0, "replications of a participant"),
    ],
)
async def test_each_reached_quota_refuses_a_replica(tmp_path: Path, quota: str, maximum: int, named: str) -> None:
    limits = msgspec.structs.replace(STRICT, **{quota: maximum})
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        pair = await make_pair(harness)
        await harness.manager.participants.open_events(
            harness.claims(pair.destination, "W"), watcher=Watcher(), client=CLIENT
        )
        with pytest.raises(ServiceQuotaExceededError, match=named):
            await pair.start()
        assert await pair.events(pair.source) == PUBLISHED


async def test_aws_allows_five_replications_of_a_participant(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book", limits=STRICT) as harness:
        pair = await make_pair(harness)
        for _ in range(5):
            await pair.start(to=await harness.stage())
        with pytest.raises(ServiceQuotaExceededError):
            await pair.start()
