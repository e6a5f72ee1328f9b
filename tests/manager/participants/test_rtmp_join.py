"""Encoders that join by a stream key, publish and leave."""

import asyncio
from pathlib import Path

import pytest

from stagebook.media.port import CloseCause, IngestFault, RefusalReason
from stagebook.stage.errors import ConflictError
from stagebook.stage.events import Cause
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import (
    IngestConfiguration,
    ParticipantProtocol,
    ParticipantRecord,
    ParticipantState,
    Stage,
)
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher, no_sources, running_manager, until
from tests.manager.presence.test_presence import shown

PUBLISHED = ["JOINED", "PUBLISH_STARTED"]
WAYS_TO_END = ["disconnect", "delete configuration", "delete stage", "shutdown"]
DAY_MS = 24 * 3_600 * 1_000


async def row(harness: ManagerHarness, stage: Stage, participant_id: str) -> ParticipantRecord:
    await harness.settled()
    record = harness.book.get_participant(stage.arn, harness.session_id(stage), participant_id)
    assert record is not None
    return record


async def last_cause(harness: ManagerHarness, stage: Stage, participant_id: str) -> tuple[Cause | None, str | None]:
    await harness.settled()
    last = harness.book.list_events(stage.arn, harness.session_id(stage), participant_id)[-1].event
    return last.cause, last.detail


async def published(harness: ManagerHarness) -> tuple[Stage, IngestConfiguration, str]:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    return stage, configuration, await harness.publish_rtmp(configuration.stream_key)


async def end(harness: ManagerHarness, stage: Stage, configuration: IngestConfiguration, way: str) -> None:
    match way:
        case "disconnect":
            await harness.manager.stages.disconnect_participant(
                stage_arn=stage.arn, participant_id=configuration.participant_id, reason=""
            )
        case "delete configuration":
            await harness.manager.ingest_configurations.delete(arn=configuration.arn, force=True)
        case "delete stage":
            await harness.manager.stages.delete(stage_arn=stage.arn)
        case "shutdown":
            await harness.manager.shutdown()


async def test_an_encoder_joins_at_once_and_publishes_when_its_media_flows(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)

    connection_id = await harness.publish_rtmp(configuration.stream_key, connect=False)
    assert await harness.events(stage, configuration.participant_id) == ["JOINED"]

    harness.engine.connect(connection_id)
    assert await harness.events(stage, configuration.participant_id) == PUBLISHED


async def test_the_row_has_the_values_of_the_configuration(harness: ManagerHarness) -> None:
    stage, configuration, _ = await published(harness)
    record = await row(harness, stage, configuration.participant_id)
    assert (record.user_id, record.attributes) == ("encoder", {"room": "one"})
    assert record.ingest_configuration_arn == configuration.arn
    assert not record.redundant_ingest
    assert record.state is ParticipantState.CONNECTED
    assert record.published


@pytest.mark.parametrize(
    ("is_secure", "protocol"), [(True, ParticipantProtocol.RTMPS), (False, ParticipantProtocol.RTMP)]
)
async def test_the_protocol_is_that_of_the_connection(
    harness: ManagerHarness, *, is_secure: bool, protocol: ParticipantProtocol
) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage, insecure=True)

    connection_id = await harness.publish_rtmp(configuration.stream_key, is_secure=is_secure, connect=False)
    assert (await row(harness, stage, configuration.participant_id)).protocol is ParticipantProtocol.UNKNOWN

    harness.engine.connect(connection_id)
    assert (await row(harness, stage, configuration.participant_id)).protocol is protocol


async def test_the_engine_admits_an_encoder_after_its_join_is_durable(
    harness: ManagerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    seen: list[bool] = []

    async def ingest(**_what: object) -> None:
        session = harness.session_id(stage)
        seen.append(bool(harness.book.list_events(stage.arn, session, configuration.participant_id)))

    monkeypatch.setattr(harness.engine, "ingest", ingest)
    await harness.request_ingest(configuration.stream_key)
    assert seen == [True]


async def test_an_encoder_is_watched_like_any_publisher(harness: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(harness)
    viewer = await harness.subscribe(harness.claims(stage, "viewer"), configuration.participant_id)
    assert harness.engine.connections[viewer] == harness.engine.connections[connection_id]
    assert connection_id not in harness.engine.redundant

    harness.engine.lose(connection_id)

    assert await harness.events(stage, "viewer") == [
        "JOINED",
        f"SUBSCRIBE_STARTED({configuration.participant_id})",
        f"SUBSCRIBE_STOPPED({configuration.participant_id})",
        "LEFT",
    ]
    assert viewer in harness.engine.closed


async def test_watchers_are_shown_an_encoder(harness: ManagerHarness) -> None:
    stage, configuration, _ = await published(harness)
    watcher = Watcher()
    await harness.manager.participants.open_events(harness.claims(stage, "viewer"), watcher=watcher, client=CLIENT)
    await shown(watcher, (configuration.participant_id, True), ("viewer", False))


@pytest.mark.parametrize(
    ("closed", "cause"),
    [
        (CloseCause.PEER_CLOSED, Cause.CLIENT),
        (CloseCause.CONSENT_LOST, Cause.PEER_LOST),
    ],
)
async def test_an_encoder_leaves_when_its_connection_ends(
    harness: ManagerHarness, closed: CloseCause, cause: Cause
) -> None:
    stage, configuration, connection_id = await published(harness)
    harness.engine.lose(connection_id, closed)
    assert await harness.events(stage, configuration.participant_id) == [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]
    assert await last_cause(harness, stage, configuration.participant_id) == (cause, closed.value)
    assert harness.engine.ended_sources == [harness.engine.connections[connection_id]]


async def test_a_returning_encoder_is_the_same_participant(harness: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(harness)
    harness.engine.lose(connection_id)
    await harness.publish_rtmp(configuration.stream_key)
    assert await harness.events(stage, configuration.participant_id) == [
        *PUBLISHED,
        "PUBLISH_STOPPED",
        "LEFT",
        *PUBLISHED,
    ]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (IngestFault.VIDEO_CODEC, "INVALID_VIDEO_CODEC"),
        (IngestFault.AUDIO_CODEC, "INVALID_AUDIO_CODEC"),
        (IngestFault.INPUT, "INVALID_INPUT"),
    ],
)
async def test_a_fault_of_the_stream_is_an_error_before_and_after_it_flows(
    harness: ManagerHarness, fault: IngestFault, code: str
) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    harness.engine.fail(await harness.publish_rtmp(configuration.stream_key, connect=False), fault)
    opening = ["JOINED", f"PUBLISH_ERROR:{code}", "LEFT"]
    assert await harness.events(stage, configuration.participant_id) == opening

    harness.engine.fail(await harness.publish_rtmp(configuration.stream_key), fault)
    assert await harness.events(stage, configuration.participant_id) == [
        *opening,
        *PUBLISHED,
        f"PUBLISH_ERROR:{code}",
        "PUBLISH_STOPPED",
        "LEFT",
    ]
    assert await last_cause(harness, stage, configuration.participant_id) == (Cause.LIMIT, f"scripted: {fault.value}")


async def test_a_fault_of_a_connection_that_has_ended_changes_nothing(harness: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(harness)
    harness.engine.lose(connection_id)
    harness.engine.fail(connection_id)
    assert (await harness.events(stage, configuration.participant_id))[-2:] == ["PUBLISH_STOPPED", "LEFT"]


async def test_a_lost_engine_is_an_internal_error(harness: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(harness)
    harness.engine.lose(connection_id, CloseCause.ENGINE_LOST)
    assert await harness.events(stage, configuration.participant_id) == [
        *PUBLISHED,
        "PUBLISH_ERROR:INTERNAL_SERVER_EXCEPTION",
        "PUBLISH_STOPPED",
        "LEFT",
    ]


async def test_b_frames_end_the_publication_of_an_encoder_and_of_a_web_publisher(harness: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(harness)
    from_the_web = await harness.publish(harness.claims(stage, "web"))
    for publication in (connection_id, from_the_web):
        harness.engine.measure(publication, has_b_frames=True)
    for participant_id in (configuration.participant_id, "web"):
        assert await harness.events(stage, participant_id) == [
            *PUBLISHED,
            "PUBLISH_ERROR:B_FRAME_PRESENT",
            "PUBLISH_STOPPED",
            "LEFT",
        ]
    assert len(harness.engine.ended_sources) == 2


async def test_seconds_above_the_bitrate_of_an_earlier_stream_do_not_count(harness: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(harness)
    for _ in range(RELAXED.publish_bitrate_window_seconds):
        harness.engine.measure(connection_id, bitrate_bps=RELAXED.publish_bitrate_bps + 1)
    ask_id = harness.engine.request_ingest(configuration.stream_key)
    await harness.settled()
    harness.engine.connect(harness.engine.admitted[ask_id])
    harness.engine.measure(harness.engine.admitted[ask_id], bitrate_bps=RELAXED.publish_bitrate_bps + 1)
    assert await harness.events(stage, configuration.participant_id) == [
        *PUBLISHED,
        "PUBLISH_ERROR:BITRATE_EXCEEDED",
        "PUBLISH_STOPPED",
        "LEFT",
        *PUBLISHED,
    ]


async def test_a_stream_ends_after_a_day(harness: ManagerHarness) -> None:
    stage, configuration, _ = await published(harness)
    harness.clock.ms += DAY_MS - 1
    harness.manager.tick()
    assert await harness.events(stage, configuration.participant_id) == PUBLISHED

    harness.clock.ms += 1
    harness.manager.tick()
    assert await harness.events(stage, configuration.participant_id) == [
        *PUBLISHED,
        "PUBLISH_ERROR:STREAM_DURATION_EXCEEDED",
        "PUBLISH_STOPPED",
        "LEFT",
    ]


@pytest.mark.parametrize("way", WAYS_TO_END)
async def test_the_source_ends_in_the_engine_whatever_ends_the_stream(harness: ManagerHarness, way: str) -> None:
    stage, configuration, connection_id = await published(harness)
    await end(harness, stage, configuration, way)
    await harness.settled()
    assert harness.engine.ended_sources == [harness.engine.connections[connection_id]]
    if way != "delete stage":  # the history of a deleted stage cannot be read
        assert await harness.events(stage, configuration.participant_id) == [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]


@pytest.mark.parametrize(
    ("way", "detail"),
    [
        ("disconnect", "PARTICIPANT_DISCONNECTED"),
        ("delete configuration", "PARTICIPANT_DISCONNECTED: its ingest configuration was deleted"),
        ("delete stage", "STAGE_DELETED"),
        ("shutdown", "SERVER_SHUTDOWN"),
        ("b-frames", "B_FRAME_PRESENT: the video has B-frames"),
    ],
)
async def test_the_encoder_receives_the_reason_for_the_end(harness: ManagerHarness, way: str, detail: str) -> None:
    stage, configuration, connection_id = await published(harness)
    if way == "b-frames":
        harness.engine.measure(connection_id, has_b_frames=True)
    else:
        await end(harness, stage, configuration, way)
    await harness.settled()
    assert harness.engine.details == {harness.engine.connections[connection_id]: detail}


async def test_an_encoder_follows_its_configuration_to_another_stage(harness: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(harness)
    other = await harness.stage("other")
    with pytest.raises(ConflictError):
        await harness.manager.ingest_configurations.update(
            arn=configuration.arn, stage_arn=other.arn, redundant_ingest=None
        )
    harness.engine.lose(connection_id)
    await harness.manager.ingest_configurations.update(
        arn=configuration.arn, stage_arn=other.arn, redundant_ingest=None
    )
    await harness.publish_rtmp(configuration.stream_key)
    assert await harness.events(other, configuration.participant_id) == PUBLISHED
    assert (await harness.events(stage, configuration.participant_id))[-1] == "LEFT"


async def test_an_encoder_is_replicated_like_any_publisher(harness: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(harness)
    other = await harness.stage("other")
    await harness.manager.replications.start(
        source_stage_arn=stage.arn,
        destination_stage_arn=other.arn,
        participant_id=configuration.participant_id,
        window_seconds=5,
        attributes={},
    )
    assert (await row(harness, other, configuration.participant_id)).protocol is ParticipantProtocol.RTMPS
    harness.engine.lose(connection_id)
    await harness.publish_rtmp(configuration.stream_key)
    assert await harness.events(other, configuration.participant_id) == [
        *PUBLISHED,
        "PUBLISH_STOPPED",
        "PUBLISH_STARTED",
    ]


async def test_after_a_crash_the_encoder_has_left_and_its_configuration_is_inactive(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite3"
    async with running_manager(path) as harness:
        stage, configuration, _ = await published(harness)
        await harness.settled()
    async with running_manager(path, seed=2) as harness:
        assert await harness.events(stage, configuration.participant_id) == [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]
        assert (await row(harness, stage, configuration.participant_id)).protocol is ParticipantProtocol.RTMPS
        assert not harness.manager.ingest_configurations.is_active(configuration)
        await harness.publish_rtmp(configuration.stream_key)
        assert await harness.events(stage, configuration.participant_id) == PUBLISHED


@pytest.mark.parametrize("way", WAYS_TO_END)
async def test_a_stream_that_ends_while_the_engine_admits_it_is_closed(harness: ManagerHarness, way: str) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    harness.engine.hold = asyncio.Event()
    ask_id = harness.engine.request_ingest(configuration.stream_key)
    await harness.engine.held.wait()

    ending = asyncio.create_task(end(harness, stage, configuration, way))
    await asyncio.sleep(0)
    assert not harness.manager.ingest_configurations.is_active(configuration)
    harness.engine.hold.set()
    await ending
    await harness.settled()

    connection_id = harness.engine.admitted[ask_id]
    assert harness.engine.closed[-1] == connection_id
    assert harness.engine.ended_sources == [harness.engine.connections[connection_id]]
    assert no_sources(harness)


async def test_a_stream_that_has_ended_when_the_engine_refuses_it_has_no_error(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    harness.engine.hold, harness.engine.refuse = asyncio.Event(), RefusalReason.ENGINE_LOST
    ask_id = harness.engine.request_ingest(configuration.stream_key)
    await harness.engine.held.wait()

    await harness.manager.ingest_configurations.delete(arn=configuration.arn, force=True)
    harness.engine.hold.set()

    assert await harness.events(stage, configuration.participant_id) == ["JOINED", "LEFT"]
    assert harness.engine.refused[ask_id] == "the stream was ended while it began"


async def test_a_shutdown_waits_for_an_encoder_that_is_being_admitted(harness: ManagerHarness) -> None:
    configuration = await harness.configuration(await harness.stage())
    harness.engine.hold = asyncio.Event()
    ask_id = harness.engine.request_ingest(configuration.stream_key)
    await harness.engine.held.wait()
    asyncio.get_running_loop().call_later(0.05, harness.engine.hold.set)

    await harness.manager.shutdown()

    assert harness.engine.closed[-1] == harness.engine.admitted[ask_id]
    assert len(harness.engine.ended_sources) == 1


async def test_a_stream_that_ends_before_the_engine_is_asked_is_refused(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    ask_id = harness.engine.request_ingest(configuration.stream_key)
    await until(lambda: harness.manager.ingest_configurations.is_active(configuration))

    await harness.manager.ingest_configurations.delete(arn=configuration.arn, force=True)
    await harness.settled()

    assert ask_id not in harness.engine.admitted
    assert harness.engine.refused[ask_id] == "the stream was ended while it began"
    assert await harness.events(stage, configuration.participant_id) == ["JOINED", "LEFT"]
