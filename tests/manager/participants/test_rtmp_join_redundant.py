"""Redundant ingest: two streams A and B, which are two participants, and the virtual participant V that shows them.

Source: user guide, "RTMP Publishing", "Redundant Ingest".
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from stagebook.media.port import CloseCause, IngestFault
from stagebook.stage.errors import AttemptRefusedError, ConflictError
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import (
    IngestConfiguration,
    ParticipantProtocol,
    ParticipantRecord,
    ReplicationType,
    Stage,
)
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher, no_sources, running_manager
from tests.manager.presence.test_presence import shown

PUBLISHED = ["JOINED", "PUBLISH_STARTED"]
GONE = [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]
HOUR_MS = 3_600 * 1_000


@dataclass
class Redundant:
    """A stage with a redundant ingest configuration. `a` and `b` are its streams' ids, `v` that of the virtual one."""

    harness: ManagerHarness
    stage: Stage
    configuration: IngestConfiguration

    @property
    def v(self) -> str:
        return self.configuration.participant_id

    @property
    def a(self) -> str:
        return self.configuration.redundant_credentials[0].participant_id

    @property
    def b(self) -> str:
        return self.configuration.redundant_credentials[1].participant_id

    async def publish_stream(self, which: int, *, connect: bool = True) -> str:
        key = self.configuration.redundant_credentials[which].stream_key
        return await self.harness.publish_rtmp(key, connect=connect)

    async def events(self, participant_id: str) -> list[str]:
        return await self.harness.events(self.stage, participant_id)

    async def row(self, participant_id: str) -> ParticipantRecord:
        await self.harness.settled()
        record = self.harness.book.get_participant(self.stage.arn, self.harness.session_id(self.stage), participant_id)
        assert record is not None
        return record

    async def replicate(self, participant_id: str, to: Stage, *, window_seconds: int = 0) -> None:
        await self.harness.manager.replications.start(
            source_stage_arn=self.stage.arn,
            destination_stage_arn=to.arn,
            participant_id=participant_id,
            window_seconds=window_seconds,
            attributes={},
        )


async def make(harness: ManagerHarness) -> Redundant:
    stage = await harness.stage()
    return Redundant(harness=harness, stage=stage, configuration=await harness.configuration(stage, redundant=True))


@pytest.fixture
async def pair(harness: ManagerHarness) -> Redundant:
    return await make(harness)


async def test_the_virtual_participant_joins_with_the_first_stream_that_flows(pair: Redundant) -> None:
    first = await pair.publish_stream(0, connect=False)
    assert await pair.events(pair.a) == ["JOINED"]
    assert await pair.events(pair.v) == []

    pair.harness.engine.connect(first)
    assert await pair.events(pair.a) == PUBLISHED
    assert await pair.events(pair.v) == PUBLISHED

    await pair.publish_stream(1)
    assert await pair.events(pair.b) == PUBLISHED
    assert await pair.events(pair.v) == PUBLISHED


async def test_the_virtual_participant_leaves_with_the_last_stream(pair: Redundant) -> None:
    first, second = await pair.publish_stream(0), await pair.publish_stream(1)

    pair.harness.engine.lose(first, CloseCause.PEER_CLOSED)
    assert await pair.events(pair.a) == GONE
    assert await pair.events(pair.v) == PUBLISHED

    pair.harness.engine.lose(second, CloseCause.CONSENT_LOST)
    assert await pair.events(pair.b) == GONE
    assert await pair.events(pair.v) == GONE
    last = pair.harness.book.list_events(pair.stage.arn, pair.harness.session_id(pair.stage), pair.v)[-1].event
    assert (last.cause, last.detail) == (Cause.PEER_LOST, "consent_lost")


async def test_the_rows_of_all_three_participants_name_the_configuration(pair: Redundant) -> None:
    await pair.publish_stream(0)
    await pair.publish_stream(1)
    for participant_id in (pair.v, pair.a, pair.b):
        record = await pair.row(participant_id)
        assert record.redundant_ingest
        assert record.published
        assert record.ingest_configuration_arn == pair.configuration.arn
        assert record.protocol is ParticipantProtocol.RTMPS
        assert (record.user_id, record.attributes) == ("encoder", {"room": "one"})


async def test_both_streams_feed_one_source(pair: Redundant) -> None:
    first, second = await pair.publish_stream(0), await pair.publish_stream(1)
    engine = pair.harness.engine
    assert engine.redundant == {first, second}
    assert engine.connections[first] == engine.connections[second]


async def test_viewers_stay_when_one_stream_ends(pair: Redundant) -> None:
    first, _ = await pair.publish_stream(0), await pair.publish_stream(1)
    await pair.harness.subscribe(pair.harness.claims(pair.stage, "viewer"), pair.v)

    pair.harness.engine.fail(first, IngestFault.INPUT)

    assert await pair.events("viewer") == ["JOINED", f"SUBSCRIBE_STARTED({pair.v})"]
    assert pair.harness.engine.closed == [first]
    assert pair.harness.engine.ended_sources == []


async def test_viewers_and_the_source_end_with_the_last_stream(pair: Redundant) -> None:
    first, second = await pair.publish_stream(0), await pair.publish_stream(1)
    viewer = await pair.harness.subscribe(pair.harness.claims(pair.stage, "viewer"), pair.v)
    assert pair.harness.engine.connections[viewer] == pair.harness.engine.connections[first]

    pair.harness.engine.lose(second)
    pair.harness.engine.lose(first)

    assert await pair.events("viewer") == [
        "JOINED",
        f"SUBSCRIBE_STARTED({pair.v})",
        f"SUBSCRIBE_STOPPED({pair.v})",
        "LEFT",
    ]
    assert pair.harness.engine.ended_sources == [pair.harness.engine.connections[first]]
    assert no_sources(pair.harness)


async def test_a_stream_that_is_opening_keeps_the_source_but_not_the_virtual_participant(pair: Redundant) -> None:
    first, second = await pair.publish_stream(0), await pair.publish_stream(1, connect=False)

    pair.harness.engine.lose(first)
    assert await pair.events(pair.v) == GONE
    assert pair.harness.engine.ended_sources == []

    pair.harness.engine.connect(second)
    assert await pair.events(pair.v) == [*GONE, *PUBLISHED]
    pair.harness.engine.lose(second)
    assert await pair.events(pair.v) == [*GONE, *GONE]
    assert pair.harness.engine.ended_sources == [pair.harness.engine.connections[first]]


async def test_a_stream_that_never_flowed_leaves_no_virtual_participant_and_no_source(pair: Redundant) -> None:
    only = await pair.publish_stream(0, connect=False)
    pair.harness.engine.fail(only, IngestFault.VIDEO_CODEC)
    assert await pair.events(pair.a) == ["JOINED", "PUBLISH_ERROR:INVALID_VIDEO_CODEC", "LEFT"]
    assert await pair.events(pair.v) == []
    assert pair.harness.engine.ended_sources == [pair.harness.engine.connections[only]]
    assert no_sources(pair.harness)


async def test_the_single_key_is_refused_while_redundant_ingest_is_on(pair: Redundant) -> None:
    detail = await pair.harness.refused_encoder(pair.configuration.stream_key)
    assert detail == "INVALID_STREAM_KEY: redundant ingest is on: use one of its two stream keys in place of this one"
    assert await pair.events(pair.v) == ["PUBLISH_ERROR:INVALID_STREAM_KEY"]
    assert (await pair.row(pair.v)).redundant_ingest


async def test_the_two_keys_are_refused_after_redundant_ingest_is_switched_off(pair: Redundant) -> None:
    await pair.harness.manager.ingest_configurations.update(
        arn=pair.configuration.arn, stage_arn=None, redundant_ingest=False
    )
    detail = await pair.harness.refused_encoder(pair.configuration.redundant_credentials[0].stream_key)
    assert detail.startswith("INVALID_STREAM_KEY: the secret")

    connection_id = await pair.harness.publish_rtmp(pair.configuration.stream_key)
    assert (await pair.events(pair.v))[-2:] == PUBLISHED
    assert not (await pair.row(pair.v)).redundant_ingest
    assert connection_id not in pair.harness.engine.redundant


async def test_each_key_admits_one_encoder(pair: Redundant) -> None:
    await pair.publish_stream(0)
    detail = await pair.harness.refused_encoder(pair.configuration.redundant_credentials[0].stream_key)
    assert detail.startswith("REUSE_OF_STREAM_KEY: ")
    assert await pair.events(pair.a) == [*PUBLISHED, "PUBLISH_ERROR:REUSE_OF_STREAM_KEY"]
    assert await pair.events(pair.v) == PUBLISHED


async def test_rtmp_is_refused_for_the_stream_that_tried(pair: Redundant) -> None:
    await pair.harness.refused_encoder(pair.configuration.redundant_credentials[1].stream_key, is_secure=False)
    assert await pair.events(pair.b) == ["PUBLISH_ERROR:INVALID_PROTOCOL"]


async def test_watchers_are_shown_the_virtual_participant_only(pair: Redundant) -> None:
    watcher = Watcher()
    viewer = pair.harness.claims(pair.stage, "viewer")
    await pair.harness.manager.participants.open_events(viewer, watcher=watcher, client=CLIENT)
    await pair.publish_stream(0)
    await pair.publish_stream(1)
    await shown(watcher, ("viewer", False), (pair.v, True))
    assert {one.participant_id for snapshot in watcher.snapshots for one in snapshot.participants} == {"viewer", pair.v}


async def test_a_stream_itself_cannot_be_watched(pair: Redundant) -> None:
    await pair.publish_stream(0)
    with pytest.raises(AttemptRefusedError) as caught:
        await pair.harness.subscribe(pair.harness.claims(pair.stage, "viewer"), pair.a)
    assert caught.value.code is ErrorCode.PUBLISHER_NOT_FOUND


async def test_the_virtual_participant_is_replicated_and_a_stream_is_not(pair: Redundant) -> None:
    other = await pair.harness.stage("other")
    first, second = await pair.publish_stream(0), await pair.publish_stream(1)
    with pytest.raises(ConflictError, match="redundant stream"):
        await pair.replicate(pair.a, other)

    await pair.replicate(pair.v, other)
    viewer = await pair.harness.subscribe(pair.harness.claims(other, "viewer"), pair.v)
    assert pair.harness.engine.connections[viewer] == pair.harness.engine.connections[first]

    pair.harness.engine.lose(first)
    assert await pair.harness.events(other, pair.v) == PUBLISHED
    pair.harness.engine.lose(second)
    assert await pair.harness.events(other, pair.v) == GONE
    assert await pair.events(pair.v) == [
        *PUBLISHED,
        "REPLICATION_STARTED",
        "PUBLISH_STOPPED",
        "REPLICATION_STOPPED",
        "LEFT",
    ]


async def test_a_replication_waits_for_either_stream(pair: Redundant) -> None:
    other = await pair.harness.stage("other")
    only = await pair.publish_stream(0)
    await pair.replicate(pair.v, other, window_seconds=10)
    pair.harness.engine.lose(only)
    await pair.publish_stream(1)
    assert await pair.harness.events(other, pair.v) == [*PUBLISHED, "PUBLISH_STOPPED", "PUBLISH_STARTED"]
    assert (await pair.row(pair.v)).replication_type is ReplicationType.SOURCE


async def test_each_stream_is_measured_against_the_limits(pair: Redundant) -> None:
    first, second = await pair.publish_stream(0), await pair.publish_stream(1)
    above = RELAXED.publish_bitrate_bps + 1
    for _ in range(RELAXED.publish_bitrate_window_seconds):
        pair.harness.engine.measure(first, bitrate_bps=above)
        pair.harness.engine.measure(second, bitrate_bps=above // 2)
    assert await pair.events(pair.a) == [*PUBLISHED, "PUBLISH_ERROR:BITRATE_EXCEEDED", "PUBLISH_STOPPED", "LEFT"]
    assert await pair.events(pair.b) == PUBLISHED
    assert await pair.events(pair.v) == PUBLISHED
    assert pair.harness.engine.closed == [first]


async def test_the_encoder_of_a_stream_receives_the_reason_for_its_end(pair: Redundant) -> None:
    first = await pair.publish_stream(0)
    pair.harness.engine.measure(first, has_b_frames=True)
    await pair.harness.settled()
    assert pair.harness.engine.details[first] == "B_FRAME_PRESENT: the video has B-frames"


async def test_streams_that_take_turns_keep_the_virtual_participant_publishing(pair: Redundant) -> None:
    await pair.publish_stream(0)
    pair.harness.clock.ms += 12 * HOUR_MS
    await pair.publish_stream(1)
    for number in range(4):
        pair.harness.clock.ms += 12 * HOUR_MS
        pair.harness.manager.tick()
        which = (pair.a, pair.b)[number % 2]
        assert (await pair.events(which))[-3:] == ["PUBLISH_ERROR:STREAM_DURATION_EXCEEDED", "PUBLISH_STOPPED", "LEFT"]
        await pair.publish_stream(number % 2)
    assert await pair.events(pair.v) == PUBLISHED


async def test_a_lost_engine_is_an_error_of_the_streams(pair: Redundant) -> None:
    for connection_id in (await pair.publish_stream(0), await pair.publish_stream(1)):
        pair.harness.engine.lose(connection_id, CloseCause.ENGINE_LOST)
    failed = [*PUBLISHED, "PUBLISH_ERROR:INTERNAL_SERVER_EXCEPTION", "PUBLISH_STOPPED", "LEFT"]
    assert [await pair.events(each) for each in (pair.a, pair.b, pair.v)] == [failed, failed, GONE]


@pytest.mark.parametrize("way", ["disconnect V", "disconnect A", "delete configuration", "delete stage", "shutdown"])
@pytest.mark.parametrize("flows", [True, False], ids=["both", "one"])
async def test_each_end_by_the_api_ends_all_three_participants(pair: Redundant, way: str, *, flows: bool) -> None:
    connections = [await pair.publish_stream(0), await pair.publish_stream(1, connect=flows)]
    await pair.harness.subscribe(pair.harness.claims(pair.stage, "viewer"), pair.v)
    manager = pair.harness.manager
    match way:
        case "disconnect V" | "disconnect A":
            participant_id = pair.v if way == "disconnect V" else pair.a
            await manager.stages.disconnect_participant(
                stage_arn=pair.stage.arn, participant_id=participant_id, reason="enough"
            )
        case "delete configuration":
            await manager.ingest_configurations.delete(arn=pair.configuration.arn, force=True)
        case "delete stage":
            await manager.stages.delete(stage_arn=pair.stage.arn)
        case "shutdown":
            await manager.shutdown()
    await pair.harness.settled()
    if way != "delete stage":  # the history of a deleted stage cannot be read
        assert await pair.events(pair.a) == await pair.events(pair.v) == GONE
        assert await pair.events(pair.b) == (GONE if flows else ["JOINED", "LEFT"])
        assert (await pair.events("viewer"))[-1] == "LEFT"
        last = pair.harness.book.list_events(pair.stage.arn, pair.harness.session_id(pair.stage), "viewer")[-1].event
        assert last.cause is (Cause.SHUTDOWN if way == "shutdown" else Cause.PUBLISHER_STOPPED)
    assert set(connections) <= set(pair.harness.engine.closed)
    assert pair.harness.engine.ended_sources == [pair.harness.engine.connections[connections[0]]]
    assert no_sources(pair.harness)
    assert manager._unit.registry.routes == {}


async def test_streams_count_in_the_quotas_and_the_virtual_participant_does_not(pair: Redundant) -> None:
    pair.harness.set_limits(replace(RELAXED, publishers_per_stage=2))
    first = await pair.publish_stream(0)
    await pair.publish_stream(1)
    with pytest.raises(AttemptRefusedError):
        await pair.harness.publish(pair.harness.claims(pair.stage, "P"))

    pair.harness.engine.lose(first)
    await pair.harness.publish(pair.harness.claims(pair.stage, "P"))
    await pair.harness.refused_encoder(pair.configuration.redundant_credentials[0].stream_key)
    assert (await pair.events(pair.a))[-1] == "PUBLISH_ERROR:QUOTA_EXCEEDED"


async def test_the_virtual_participant_can_move_to_a_stage_that_had_its_replica(pair: Redundant) -> None:
    other = await pair.harness.stage("other")
    only = await pair.publish_stream(0)
    await pair.replicate(pair.v, other, window_seconds=10)
    pair.harness.engine.lose(only)
    await pair.harness.manager.ingest_configurations.update(
        arn=pair.configuration.arn, stage_arn=other.arn, redundant_ingest=None
    )
    await pair.publish_stream(1)
    assert await pair.harness.events(other, pair.v) == [*GONE, *PUBLISHED]
    assert (await pair.events(pair.v))[-1] == "REPLICATION_STOPPED"


async def test_a_stream_that_is_closed_while_the_engine_admits_it_leaves_the_other(pair: Redundant) -> None:
    first = await pair.publish_stream(0)
    engine = pair.harness.engine
    engine.hold = asyncio.Event()
    ask_id = engine.request_ingest(pair.configuration.redundant_credentials[1].stream_key)
    await engine.held.wait()
    opening = next(each for each in pair.harness.manager._unit.registry.routes if each != first)

    engine.lose(opening)
    engine.hold.set()
    await pair.harness.settled()

    assert engine.closed == [opening, engine.admitted[ask_id]]
    assert engine.ended_sources == []
    assert await pair.events(pair.b) == ["JOINED", "LEFT"]
    assert await pair.events(pair.v) == PUBLISHED


async def test_after_a_crash_all_three_have_left(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite3"
    async with running_manager(path) as harness:
        pair = await make(harness)
        await pair.publish_stream(0)
        await pair.publish_stream(1, connect=False)
        await harness.settled()
    async with running_manager(path, seed=2) as harness:
        after = Redundant(harness=harness, stage=pair.stage, configuration=pair.configuration)
        assert [await after.events(each) for each in (after.v, after.a, after.b)] == [GONE, GONE, ["JOINED", "LEFT"]]
        await after.publish_stream(1)
        assert await after.events(after.v) == PUBLISHED
