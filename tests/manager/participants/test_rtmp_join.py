"""Encoders come in by a stream key, publish, and leave."""

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
from tests.manager.house import CLIENT, ManagerHarness, Watcher, running_house
from tests.manager.presence.test_presence import shown

PUBLISHED = ["JOINED", "PUBLISH_STARTED"]
WAYS_TO_END = ["disconnect", "delete configuration", "delete stage", "shutdown"]
DAY_MS = 24 * 3_600 * 1_000


async def row(house: ManagerHarness, stage: Stage, participant_id: str) -> ParticipantRecord:
    await house.settled()
    record = house.book.get_participant(stage.arn, house.session_id(stage), participant_id)
    assert record is not None
    return record


async def last_cause(house: ManagerHarness, stage: Stage, participant_id: str) -> tuple[Cause | None, str | None]:
    await house.settled()
    last = house.book.list_events(stage.arn, house.session_id(stage), participant_id)[-1].event
    return last.cause, last.detail


async def published(house: ManagerHarness) -> tuple[Stage, IngestConfiguration, str]:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    return stage, configuration, await house.encode(configuration.stream_key)


async def end(house: ManagerHarness, stage: Stage, configuration: IngestConfiguration, way: str) -> None:
    match way:
        case "disconnect":
            await house.manager.disconnect_participant(
                stage_arn=stage.arn, participant_id=configuration.participant_id, reason=""
            )
        case "delete configuration":
            await house.manager.ingest_configurations.delete(arn=configuration.arn, force=True)
        case "delete stage":
            await house.manager.delete_stage(stage_arn=stage.arn)
        case "shutdown":
            await house.manager.shutdown()


async def test_who_comes_with_the_key_joins_at_once_and_publishes_when_its_media_flows(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)

    connection_id = await house.encode(configuration.stream_key, connect=False)
    assert await house.events(stage, configuration.participant_id) == ["JOINED"]

    house.engine.connect(connection_id)
    assert await house.events(stage, configuration.participant_id) == PUBLISHED


async def test_its_row_says_what_the_configuration_says(house: ManagerHarness) -> None:
    stage, configuration, _ = await published(house)
    record = await row(house, stage, configuration.participant_id)
    assert (record.user_id, record.attributes) == ("encoder", {"room": "one"})
    assert record.ingest_configuration_arn == configuration.arn
    assert not record.redundant_ingest
    assert record.state is ParticipantState.CONNECTED
    assert record.published


@pytest.mark.parametrize(
    ("is_secure", "protocol"), [(True, ParticipantProtocol.RTMPS), (False, ParticipantProtocol.RTMP)]
)
async def test_its_protocol_is_that_of_its_connection(
    house: ManagerHarness, *, is_secure: bool, protocol: ParticipantProtocol
) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage, insecure=True)

    connection_id = await house.encode(configuration.stream_key, is_secure=is_secure, connect=False)
    assert (await row(house, stage, configuration.participant_id)).protocol is ParticipantProtocol.UNKNOWN

    house.engine.connect(connection_id)
    assert (await row(house, stage, configuration.participant_id)).protocol is protocol


async def test_the_engine_hears_of_it_when_its_arrival_is_durable(
    house: ManagerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    seen: list[bool] = []

    async def ingest(**_what: object) -> None:
        session = house.session_id(stage)
        seen.append(bool(house.book.list_events(stage.arn, session, configuration.participant_id)))

    monkeypatch.setattr(house.engine, "ingest", ingest)
    await house.ask(configuration.stream_key)
    assert seen == [True]


async def test_it_is_watched_like_any_other(house: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(house)
    viewer = await house.subscribe(house.claims(stage, "viewer"), configuration.participant_id)
    assert house.engine.connections[viewer] == house.engine.connections[connection_id]
    assert connection_id not in house.engine.redundant

    house.engine.lose(connection_id)

    assert await house.events(stage, "viewer") == [
        "JOINED",
        f"SUBSCRIBE_STARTED({configuration.participant_id})",
        f"SUBSCRIBE_STOPPED({configuration.participant_id})",
        "LEFT",
    ]
    assert viewer in house.engine.closed


async def test_watchers_see_it(house: ManagerHarness) -> None:
    stage, configuration, _ = await published(house)
    watcher = Watcher()
    await house.manager.open_events(house.claims(stage, "viewer"), watcher=watcher, client=CLIENT)
    await shown(watcher, (configuration.participant_id, True), ("viewer", False))


@pytest.mark.parametrize(
    ("closed", "cause"),
    [
        (CloseCause.PEER_CLOSED, Cause.CLIENT),
        (CloseCause.CONSENT_LOST, Cause.PEER_LOST),
    ],
)
async def test_it_leaves_when_its_connection_ends(house: ManagerHarness, closed: CloseCause, cause: Cause) -> None:
    stage, configuration, connection_id = await published(house)
    house.engine.lose(connection_id, closed)
    assert await house.events(stage, configuration.participant_id) == [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]
    assert await last_cause(house, stage, configuration.participant_id) == (cause, closed.value)
    assert house.engine.ended_sources == [house.engine.connections[connection_id]]


async def test_it_comes_again_with_the_same_key_as_the_same_participant(house: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(house)
    house.engine.lose(connection_id)
    await house.encode(configuration.stream_key)
    assert await house.events(stage, configuration.participant_id) == [
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
async def test_what_its_stream_breaks_is_an_error_before_and_after_it_flows(
    house: ManagerHarness, fault: IngestFault, code: str
) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    house.engine.fail(await house.encode(configuration.stream_key, connect=False), fault)
    opening = ["JOINED", f"PUBLISH_ERROR:{code}", "LEFT"]
    assert await house.events(stage, configuration.participant_id) == opening

    house.engine.fail(await house.encode(configuration.stream_key), fault)
    assert await house.events(stage, configuration.participant_id) == [
        *opening,
        *PUBLISHED,
        f"PUBLISH_ERROR:{code}",
        "PUBLISH_STOPPED",
        "LEFT",
    ]
    assert await last_cause(house, stage, configuration.participant_id) == (Cause.LIMIT, f"scripted: {fault.value}")


async def test_a_fault_of_a_connection_that_has_ended_is_no_news(house: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(house)
    house.engine.lose(connection_id)
    house.engine.fail(connection_id)
    assert (await house.events(stage, configuration.participant_id))[-2:] == ["PUBLISH_STOPPED", "LEFT"]


async def test_a_lost_engine_is_an_internal_error(house: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(house)
    house.engine.lose(connection_id, CloseCause.ENGINE_LOST)
    assert await house.events(stage, configuration.participant_id) == [
        *PUBLISHED,
        "PUBLISH_ERROR:INTERNAL_SERVER_EXCEPTION",
        "PUBLISH_STOPPED",
        "LEFT",
    ]


async def test_b_frames_cut_an_encoder_and_a_web_publisher_alike(house: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(house)
    from_the_web = await house.publish(house.claims(stage, "web"))
    for publication in (connection_id, from_the_web):
        house.engine.measure(publication, has_b_frames=True)
    for participant_id in (configuration.participant_id, "web"):
        assert await house.events(stage, participant_id) == [
            *PUBLISHED,
            "PUBLISH_ERROR:B_FRAME_PRESENT",
            "PUBLISH_STOPPED",
            "LEFT",
        ]
    assert len(house.engine.ended_sources) == 2


async def test_seconds_above_the_bitrate_of_an_earlier_stream_do_not_count(house: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(house)
    for _ in range(RELAXED.publish_bitrate_window_seconds):
        house.engine.measure(connection_id, bitrate_bps=RELAXED.publish_bitrate_bps + 1)
    ask_id = house.engine.ask(configuration.stream_key)
    await house.settled()
    house.engine.connect(house.engine.admitted[ask_id])
    house.engine.measure(house.engine.admitted[ask_id], bitrate_bps=RELAXED.publish_bitrate_bps + 1)
    assert await house.events(stage, configuration.participant_id) == [
        *PUBLISHED,
        "PUBLISH_ERROR:BITRATE_EXCEEDED",
        "PUBLISH_STOPPED",
        "LEFT",
        *PUBLISHED,
    ]


async def test_it_lasts_a_day(house: ManagerHarness) -> None:
    stage, configuration, _ = await published(house)
    house.clock.ms += DAY_MS - 1
    house.manager.tick()
    assert await house.events(stage, configuration.participant_id) == PUBLISHED

    house.clock.ms += 1
    house.manager.tick()
    assert await house.events(stage, configuration.participant_id) == [
        *PUBLISHED,
        "PUBLISH_ERROR:STREAM_DURATION_EXCEEDED",
        "PUBLISH_STOPPED",
        "LEFT",
    ]


@pytest.mark.parametrize("way", WAYS_TO_END)
async def test_the_engine_is_told_whatever_ends_it(house: ManagerHarness, way: str) -> None:
    stage, configuration, connection_id = await published(house)
    await end(house, stage, configuration, way)
    await house.settled()
    assert house.engine.ended_sources == [house.engine.connections[connection_id]]
    if way != "delete stage":  # its history cannot be read any more
        assert await house.events(stage, configuration.participant_id) == [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("disconnect", "PARTICIPANT_DISCONNECTED"),
        ("delete configuration", "PARTICIPANT_DISCONNECTED: its ingest configuration was deleted"),
        ("delete stage", "STAGE_DELETED"),
        ("shutdown", "SERVER_SHUTDOWN"),
        ("b-frames", "B_FRAME_PRESENT: the video has B-frames"),
    ],
)
async def test_the_encoder_is_told_what_ends_it(house: ManagerHarness, way: str, words: str) -> None:
    stage, configuration, connection_id = await published(house)
    if way == "b-frames":
        house.engine.measure(connection_id, has_b_frames=True)
    else:
        await end(house, stage, configuration, way)
    await house.settled()
    assert house.engine.words == {house.engine.connections[connection_id]: words}


async def test_it_moves_with_its_configuration(house: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(house)
    other = await house.stage("other")
    with pytest.raises(ConflictError):
        await house.manager.ingest_configurations.update(
            arn=configuration.arn, stage_arn=other.arn, redundant_ingest=None
        )
    house.engine.lose(connection_id)
    await house.manager.ingest_configurations.update(arn=configuration.arn, stage_arn=other.arn, redundant_ingest=None)
    await house.encode(configuration.stream_key)
    assert await house.events(other, configuration.participant_id) == PUBLISHED
    assert (await house.events(stage, configuration.participant_id))[-1] == "LEFT"


async def test_it_is_replicated_like_any_other(house: ManagerHarness) -> None:
    stage, configuration, connection_id = await published(house)
    other = await house.stage("other")
    await house.manager.replication.start(
        source_stage_arn=stage.arn,
        destination_stage_arn=other.arn,
        participant_id=configuration.participant_id,
        window_seconds=5,
        attributes={},
    )
    assert (await row(house, other, configuration.participant_id)).protocol is ParticipantProtocol.RTMPS
    house.engine.lose(connection_id)
    await house.encode(configuration.stream_key)
    assert await house.events(other, configuration.participant_id) == [
        *PUBLISHED,
        "PUBLISH_STOPPED",
        "PUBLISH_STARTED",
    ]


async def test_after_a_crash_it_has_left_and_its_configuration_is_free(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite3"
    async with running_house(path) as house:
        stage, configuration, _ = await published(house)
        await house.settled()
    async with running_house(path, seed=2) as house:
        assert await house.events(stage, configuration.participant_id) == [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]
        assert (await row(house, stage, configuration.participant_id)).protocol is ParticipantProtocol.RTMPS
        assert not house.manager.ingest_configurations.is_active(configuration)
        await house.encode(configuration.stream_key)
        assert await house.events(stage, configuration.participant_id) == PUBLISHED


@pytest.mark.parametrize("way", WAYS_TO_END)
async def test_what_ends_while_the_engine_lets_it_in_is_closed(house: ManagerHarness, way: str) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    house.engine.hold = asyncio.Event()
    ask_id = house.engine.ask(configuration.stream_key)
    await house.engine.held.wait()

    ending = asyncio.create_task(end(house, stage, configuration, way))
    await asyncio.sleep(0)
    assert not house.manager.ingest_configurations.is_active(configuration)
    house.engine.hold.set()
    await ending
    await house.settled()

    connection_id = house.engine.admitted[ask_id]
    assert house.engine.closed[-1] == connection_id
    assert house.engine.ended_sources == [house.engine.connections[connection_id]]
    assert house.manager._ledger.live.slots == {}


async def test_what_has_ended_when_the_engine_refuses_has_no_error(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    house.engine.hold, house.engine.refuse = asyncio.Event(), RefusalReason.ENGINE_LOST
    ask_id = house.engine.ask(configuration.stream_key)
    await house.engine.held.wait()

    await house.manager.ingest_configurations.delete(arn=configuration.arn, force=True)
    house.engine.hold.set()

    assert await house.events(stage, configuration.participant_id) == ["JOINED", "LEFT"]
    assert house.engine.refused[ask_id] == "the stream was ended while it began"


async def test_a_shutdown_waits_until_the_engine_has_closed_who_was_on_the_way_in(house: ManagerHarness) -> None:
    configuration = await house.configuration(await house.stage())
    house.engine.hold = asyncio.Event()
    ask_id = house.engine.ask(configuration.stream_key)
    await house.engine.held.wait()
    asyncio.get_running_loop().call_later(0.05, house.engine.hold.set)

    await house.manager.shutdown()

    assert house.engine.closed[-1] == house.engine.admitted[ask_id]
    assert len(house.engine.ended_sources) == 1


async def test_what_ends_before_the_engine_is_told_never_comes_in(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    ask_id = house.engine.ask(configuration.stream_key)
    await asyncio.sleep(0)
    assert house.manager.ingest_configurations.is_active(configuration)

    await house.manager.ingest_configurations.delete(arn=configuration.arn, force=True)
    await house.settled()

    assert ask_id not in house.engine.admitted
    assert house.engine.refused[ask_id] == "the stream was ended while it began"
    assert await house.events(stage, configuration.participant_id) == ["JOINED", "LEFT"]
