"""Recordings of the manager, with a scripted recorder: states, events, orders, windows, ends and recovery."""

from pathlib import Path

import pytest

from stagebook.media.recording.recording_port import RecordingEnded, RecordingFailed
from stagebook.stage.errors import ConflictError, InvalidInputError
from stagebook.stage.events import RecordingDetails
from stagebook.stage.resources import Capability, RecordingState, Stage
from stagebook.storage.object_store import StorageFault
from tests.manager.manager_harness import ACCOUNT, ManagerHarness, running_manager
from tests.manager.recordings.scripted_recorder import ScriptedRecorder

WINDOW = {"recordingReconnectWindowSeconds": 30}


async def shown(harness: ManagerHarness, stage: Stage, participant_id: str = "p") -> str:
    """Return the state of the recording that the row of a participant shows."""
    await harness.settled()
    record = harness.book.get_participant(stage.arn, harness.session_id(stage), participant_id)
    assert record is not None
    return record.recording_state.value


async def recorded(harness: ManagerHarness, stage: Stage, participant_id: str = "p") -> list[str]:
    """Return the events of recordings of a participant, without RECORDING_."""
    return [
        name.removeprefix("RECORDING_")
        for name in await harness.events(stage, participant_id)
        if name.startswith("RECORDING_")
    ]


def durations(harness: ManagerHarness, stage: Stage, participant_id: str) -> list[int | None]:
    """Return the duration in each event of a participant's recordings."""
    events = harness.book.list_events(stage.arn, harness.session_id(stage), participant_id)
    return [each.event.recording.duration_ms for each in events if each.event.recording is not None]


def details(harness: ManagerHarness, stage: Stage) -> list[RecordingDetails]:
    """Return the details of a participant's recordings, of each event."""
    events = harness.book.list_events(stage.arn, harness.session_id(stage), "p")
    return [each.event.recording for each in events if each.event.recording is not None]


async def test_a_publication_is_recorded_from_its_start_to_its_end(harness: ManagerHarness) -> None:
    stage, recorder = await harness.recorded_stage(), harness.recorder
    connection_id = await harness.publish(harness.claims(stage, "p"))
    assert await shown(harness, stage) == "STARTING"
    request = recorder.requests[0]
    session_id = harness.session_id(stage)
    assert request.prefix == f"{stage.arn.rpartition('/')[2]}/{session_id}/p/2023-11-14T22-13-20Z"
    assert (request.bucket_name, request.source_id) == ("bucket", harness.engine.connections[connection_id])
    assert (request.has_video, request.segment_seconds, request.thumbnails) == (True, 6, None)
    recorder.start()
    assert await shown(harness, stage) == "ACTIVE"
    harness.engine.lose(connection_id)
    assert await shown(harness, stage) == "STOPPING"
    assert recorder.names() == ["start", "end"]
    recorder.complete()
    recorder.complete()
    recorder.start()
    assert await shown(harness, stage) == "STOPPED"
    assert await recorded(harness, stage) == ["STARTED", "ENDED"]
    assert [each.duration_ms for each in details(harness, stage)] == [None, 5_000]
    assert harness.book.list_open_recordings() == []


async def test_a_recorder_is_prepared_when_a_stage_is_to_be_recorded(harness: ManagerHarness) -> None:
    stage = await harness.recorded_stage()
    assert harness.recorder.preparations == 1
    stages = harness.manager.stages
    await stages.update(stage_arn=stage.arn, name="other", recording=None)
    await stages.update(stage_arn=stage.arn, name=None, recording={"storageConfigurationArn": ""})
    assert harness.recorder.preparations == 1
    await stages.update(stage_arn=stage.arn, name=None, recording=stage.recording)
    assert harness.recorder.preparations == 2


async def test_a_recorder_is_told_when_the_publication_is_durable(harness: ManagerHarness) -> None:
    stage = await harness.recorded_stage()
    await harness.publish(harness.claims(stage, "p"))
    assert harness.recorder.commands == []
    await harness.settled()
    assert harness.recorder.names() == ["start"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (None, "ValidationException"),
        (StorageFault.BUCKET_NOT_FOUND, "ResourceNotFoundException"),
        (StorageFault.ACCESS_DENIED, "AccessDeniedException"),
        (StorageFault.UNAVAILABLE, "InternalServerException"),
    ],
)
async def test_a_recording_that_cannot_start_leaves_its_publication_alone(
    harness: ManagerHarness, fault: StorageFault | None, code: str
) -> None:
    stage = await harness.recorded_stage()
    connection_id = await harness.publish(harness.claims(stage, "p"))
    await harness.settled()
    harness.recorder.fail(fault)
    assert await shown(harness, stage) == "FAILED"
    assert await harness.events(stage, "p") == ["JOINED", "PUBLISH_STARTED", "RECORDING_START_FAILED"]
    assert [each.error_code for each in details(harness, stage)] == [code]
    harness.engine.lose(connection_id)
    await harness.settled()
    assert harness.recorder.names() == ["start"]


async def test_a_recorder_that_raises_is_a_failed_recording(harness: ManagerHarness) -> None:
    stage = await harness.recorded_stage()
    harness.recorder.failure = RuntimeError("scripted")
    await harness.publish(harness.claims(stage, "p"))
    await harness.settled()
    assert await shown(harness, stage) == "FAILED"
    assert await recorded(harness, stage) == ["START_FAILED"]


async def test_a_return_within_the_window_continues_the_recording(harness: ManagerHarness) -> None:
    stage, recorder = await harness.recorded_stage(**WINDOW), harness.recorder
    harness.engine.lose(await harness.publish(harness.claims(stage, "p")))
    await harness.settled()
    recorder.start()
    assert await shown(harness, stage) == "ACTIVE"
    assert recorder.names() == ["start", "end_part"]
    harness.clock.ms += 29_000
    harness.manager.tick()
    connection_id = await harness.publish(harness.claims(stage, "p"))
    await harness.settled()
    first, second = recorder.requests
    assert (second.recording_id, second.prefix) == (first.recording_id, first.prefix)
    assert second.source_id == harness.engine.connections[connection_id]
    harness.engine.lose(connection_id)
    await harness.settled()
    harness.clock.ms += 29_999
    harness.manager.tick()
    await harness.settled()
    assert recorder.names() == ["start", "end_part", "start", "end_part"]
    harness.clock.ms += 1
    harness.manager.tick()
    await harness.settled()
    assert recorder.names()[-1] == "end"
    recorder.complete()
    await harness.settled()
    assert recorder.names().count("end") == 1
    assert harness.book.list_open_recordings() == []


async def test_a_recording_that_goes_on_in_another_session_ends_there(harness: ManagerHarness) -> None:
    stage, recorder = await harness.recorded_stage(**WINDOW), harness.recorder
    harness.engine.lose(await harness.publish(harness.claims(stage, "p")))
    await harness.settled()
    recorder.start()
    await harness.settled()
    former = harness.session_id(stage)
    harness.clock.ms += 10_000
    harness.manager.tick()
    harness.engine.lose(await harness.publish(harness.claims(stage, "p")))
    await harness.settled()
    assert harness.session_id(stage) != former
    assert former in recorder.requests[1].prefix
    record = harness.book.get_participant(stage.arn, former, "p")
    assert record is not None
    assert record.recording_state is RecordingState.STOPPED
    harness.clock.ms += 30_000
    harness.manager.tick()
    await harness.settled()
    recorder.complete()
    assert await shown(harness, stage) == "STOPPED"
    assert await recorded(harness, stage) == ["ENDED"]


async def test_another_storage_configuration_ends_a_recording_that_waits(harness: ManagerHarness) -> None:
    stage, recorder = await harness.recorded_stage(**WINDOW), harness.recorder
    harness.engine.lose(await harness.publish(harness.claims(stage, "p")))
    await harness.settled()
    storage = await harness.manager.configurations.create_storage(account_id=ACCOUNT, tags={}, bucket_name="other")
    changed = {**WINDOW, "storageConfigurationArn": storage.arn}
    await harness.manager.stages.update(stage_arn=stage.arn, name=None, recording=changed)
    await harness.publish(harness.claims(stage, "p"))
    await harness.settled()
    assert recorder.names() == ["start", "end_part", "end", "start"]
    assert recorder.requests[1].bucket_name == "other"
    assert recorder.requests[0].prefix != recorder.requests[1].prefix
    former, newest = (each.recording_id for each in recorder.requests)
    recorder.start()
    recorder.complete(former)
    assert await shown(harness, stage) == "ACTIVE", "the row shows the newest recording"
    recorder.fail(StorageFault.ACCESS_DENIED, newest, duration_ms=7)
    assert await shown(harness, stage) == "FAILED"


@pytest.mark.parametrize("ending", ["delete", "disconnect", "shutdown"])
@pytest.mark.parametrize("is_waiting", [False, True])
async def test_what_cannot_return_ends_at_once(harness: ManagerHarness, ending: str, is_waiting: bool) -> None:  # noqa: FBT001
    stage, recorder = await harness.recorded_stage(**WINDOW), harness.recorder
    recorder.completes = True
    await harness.publish(harness.claims(stage, "q"))
    connection_id = await harness.publish(harness.claims(stage, "p"))
    await harness.settled()
    recording_id = recorder.requests[1].recording_id
    recorder.start(recording_id)
    if is_waiting:
        harness.engine.lose(connection_id)
        await harness.settled()
    session_id = harness.session_id(stage)
    if ending == "delete":
        await harness.manager.stages.delete(stage_arn=stage.arn)
    elif ending == "disconnect":
        await harness.manager.stages.disconnect_participant(stage_arn=stage.arn, participant_id="p", reason="")
    else:
        await harness.manager.shutdown()
    await harness.settled()
    names = [each.event.name.value for each in harness.book.list_events(stage.arn, session_id, "p")]
    assert names.count("RECORDING_ENDED") == 1
    assert names.index("RECORDING_ENDED") > names.index("PUBLISH_STOPPED")
    assert ("end", recording_id) in recorder.commands


async def test_the_end_of_the_server_does_not_wait_for_a_recorder_for_ever(harness: ManagerHarness) -> None:
    stage = await harness.recorded_stage()
    await harness.publish(harness.claims(stage, "p"))
    await harness.settled()
    harness.recorder.start()
    await harness.settled()
    for session in tuple(harness.manager._unit.registry.sessions.values()):
        assert session.stage_arn == stage.arn
    await harness.manager._recordings.shutdown(timeout_seconds=0)
    assert await shown(harness, stage) == "FAILED"
    assert await recorded(harness, stage) == ["STARTED", "END_FAILED"]


async def test_a_crash_leaves_no_recording_that_says_it_is_active(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite3"
    async with running_manager(path) as first:
        stage = await first.recorded_stage()
        for participant_id in ("starting", "active", "stopping", "complete"):
            connection_id = await first.publish(first.claims(stage, participant_id))
            await first.settled()
            if participant_id != "starting":
                first.recorder.start()
            if participant_id in {"stopping", "complete"}:
                first.engine.lose(connection_id)
                await first.settled()
            if participant_id == "complete":
                first.recorder.complete()
        await first.settled()
        clock = first.clock
    async with running_manager(path, clock=clock) as second:
        await second.settled()
        assert second.book.list_open_recordings() == []
        outcomes = {
            each: ((await recorded(second, stage, each))[-1], await shown(second, stage, each))
            for each in ("starting", "active", "stopping", "complete")
        }
        assert outcomes == {
            "starting": ("START_FAILED", "FAILED"),
            "active": ("END_FAILED", "FAILED"),
            "stopping": ("END_FAILED", "FAILED"),
            "complete": ("ENDED", "STOPPED"),
        }


async def test_a_crash_leaves_recordings_as_their_journals_say(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite3"
    async with running_manager(path) as first:
        stage = await first.recorded_stage()
        for participant_id in ("starting", "active", "ended", "nothing"):
            await first.publish(first.claims(stage, participant_id))
            await first.settled()
            if participant_id in {"active", "ended"}:
                first.recorder.start()
        await first.settled()
        ids = {each.participant_id: each.recording_id for each in first.book.list_open_recordings()}
        clock = first.clock
    recorder = ScriptedRecorder()
    for participant_id in ("starting", "active"):
        recorder.outcomes[ids[participant_id]] = RecordingFailed(
            recording_id=ids[participant_id], fault=StorageFault.UNAVAILABLE, duration_ms=4_000
        )
    recorder.outcomes[ids["ended"]] = RecordingEnded(recording_id=ids["ended"], duration_ms=8_000)
    async with running_manager(path, clock=clock, recorder=recorder) as second:
        await second.settled()
        assert second.book.list_open_recordings() == []
        outcomes = {
            each: (
                await recorded(second, stage, each),
                await shown(second, stage, each),
                durations(second, stage, each),
            )
            for each in ids
        }
    assert outcomes == {
        "starting": (["STARTED", "END_FAILED"], "FAILED", [None, 4_000]),
        "active": (["STARTED", "END_FAILED"], "FAILED", [None, 4_000]),
        "ended": (["STARTED", "ENDED"], "STOPPED", [None, 8_000]),
        "nothing": (["START_FAILED"], "FAILED", [None]),
    }


async def test_the_configuration_is_read_when_the_publication_starts(harness: ManagerHarness) -> None:
    stage = await harness.recorded_stage(
        mediaTypes=["AUDIO_ONLY"], hlsConfiguration={"targetSegmentDurationSeconds": 2}
    )
    await harness.publish(harness.claims(stage, "p"))
    await harness.settled()
    assert (harness.recorder.requests[0].has_video, harness.recorder.requests[0].segment_seconds) == (False, 2)


async def test_the_recording_configuration_cannot_be_changed_while_a_participant_is_recorded(
    harness: ManagerHarness,
) -> None:
    stage = await harness.recorded_stage()
    connection_id = await harness.publish(harness.claims(stage, "p"))
    await harness.settled()
    update = harness.manager.stages.update
    with pytest.raises(ConflictError, match="participant p is being recorded"):
        await update(stage_arn=stage.arn, name=None, recording={})
    await update(stage_arn=stage.arn, name="other", recording=None)
    await update(stage_arn=stage.arn, name=None, recording=stage.recording)
    harness.engine.lose(connection_id)
    await harness.settled()
    await update(stage_arn=stage.arn, name=None, recording={"storageConfigurationArn": ""})
    await harness.publish(harness.claims(stage, "p"))
    await harness.settled()
    assert len(harness.recorder.requests) == 1


async def test_a_storage_configuration_that_a_recording_uses_cannot_be_deleted(harness: ManagerHarness) -> None:
    stage = await harness.recorded_stage()
    storage_arn = stage.recording["storageConfigurationArn"]
    connection_id = await harness.publish(harness.claims(stage, "p"))
    await harness.settled()
    with pytest.raises(ConflictError, match="participant p"):
        await harness.manager.configurations.delete_storage(arn=storage_arn)
    harness.engine.lose(connection_id)
    await harness.settled()
    harness.recorder.complete()
    await harness.settled()
    await harness.manager.configurations.delete_storage(arn=storage_arn)
    await harness.publish(harness.claims(stage, "q"))
    assert await shown(harness, stage, "q") == "FAILED"
    assert await recorded(harness, stage, "q") == ["START_FAILED"]
    assert len(harness.recorder.requests) == 1


async def test_a_storage_configuration_must_exist_in_the_account(harness: ManagerHarness) -> None:
    other = await harness.manager.configurations.create_storage(
        account_id="210987654321", tags={}, bucket_name="bucket"
    )
    unknown = f"arn:aws:ivs:us-west-2:{ACCOUNT}:storage-configuration/abcdABCDefgh"
    stage = await harness.stage()
    for arn in (other.arn, unknown):
        with pytest.raises(InvalidInputError, match="storageConfigurationArn"):
            await harness.stage(recording={"storageConfigurationArn": arn})
        with pytest.raises(InvalidInputError, match="storageConfigurationArn"):
            await harness.manager.stages.update(
                stage_arn=stage.arn, name=None, recording={"storageConfigurationArn": arn}
            )


async def test_a_server_that_does_not_record_says_so(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book.sqlite3", records=False) as harness:
        with pytest.raises(InvalidInputError, match="does not record"):
            await harness.recorded_stage()
        stage = await harness.stage(recording={"storageConfigurationArn": ""})
        await harness.publish(harness.claims(stage, "p"))
        assert await shown(harness, stage) == "DISABLED"


async def test_redundant_streams_are_recorded_each_by_itself(harness: ManagerHarness) -> None:
    stage = await harness.recorded_stage()
    configuration = await harness.configuration(stage, redundant=True)
    connections = [await harness.publish_rtmp(each.stream_key) for each in configuration.redundant_credentials]
    await harness.settled()
    assert [each.participant_id for each in harness.recorder.requests] == [
        each.participant_id for each in configuration.redundant_credentials
    ]
    assert [each.connection_id for each in harness.recorder.requests] == connections
    assert len({each.source_id for each in harness.recorder.requests}) == 1
    assert await shown(harness, stage, configuration.participant_id) == "DISABLED"


@pytest.mark.parametrize("is_wanted", [True, False])
async def test_replicas_are_recorded_by_the_configuration_of_their_stage(
    harness: ManagerHarness,
    is_wanted: bool,  # noqa: FBT001 - a parameter
) -> None:
    source = await harness.stage("source")
    destination = await harness.recorded_stage(recordParticipantReplicas=is_wanted)
    connection_id = await harness.publish(harness.claims(source, "p", Capability.PUBLISH))
    await harness.settled()
    await harness.manager.replications.start(
        source_stage_arn=source.arn,
        destination_stage_arn=destination.arn,
        participant_id="p",
        window_seconds=0,
        attributes={},
    )
    await harness.settled()
    sources = [each.source_id for each in harness.recorder.requests]
    assert sources == ([harness.engine.connections[connection_id]] if is_wanted else [])
    assert await shown(harness, destination) == ("STARTING" if is_wanted else "DISABLED")


async def test_two_recordings_of_one_second_have_two_prefixes(harness: ManagerHarness) -> None:
    stage, recorder = await harness.recorded_stage(), harness.recorder
    recorder.completes = True
    for _ in range(3):
        harness.engine.lose(await harness.publish(harness.claims(stage, "p")))
        await harness.settled()
    prefixes = [each.prefix.rpartition("/")[2] for each in recorder.requests]
    assert prefixes == ["2023-11-14T22-13-20Z", "2023-11-14T22-13-21Z", "2023-11-14T22-13-22Z"]
