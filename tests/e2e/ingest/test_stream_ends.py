"""The end of a stream, for whatever reason: the participant leaves, the key is free again, the connection closes."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.aws.client_errors import refused
from tests.e2e.ingest.commands import VIEWED
from tests.e2e.ingest.ingest_handle import IngestHandle, run_ingest_server
from tests.e2e.participants.stage_handle import StageHandle

COMPLETE = ("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


@pytest.mark.parametrize("protocol", ["RTMP", "RTMPS"])
async def test_a_killed_encoder_leaves_and_can_publish_again(ingest: IngestHandle, protocol: str) -> None:
    encoder = await ingest.publish(protocol=protocol)
    await encoder.kill()
    await ingest.expect_events(*COMPLETE)
    await ingest.start(protocol=protocol)
    await ingest.expect_events(*COMPLETE, "JOINED", "PUBLISH_STARTED")


@pytest.mark.parametrize("protocol", ["RTMP", "RTMPS"])
async def test_an_encoder_without_network_leaves_and_can_publish_again(
    impatient_ingest: IngestHandle, protocol: str
) -> None:
    # Of a low bitrate: what a busy machine sends late and at once is not above the limit, which is for one second.
    ingest = impatient_ingest
    encoder = await ingest.publish(protocol=protocol, variables=VIEWED)
    encoder.freeze()
    await ingest.expect_events(*COMPLETE)
    await ingest.start(protocol=protocol, variables=VIEWED)
    await ingest.expect_events(*COMPLETE, "JOINED", "PUBLISH_STARTED")


async def test_a_disconnected_encoder_is_detached_from_the_stage(ingest: IngestHandle) -> None:
    encoder = await ingest.publish()

    await ingest.stage.call("disconnect_participant", participantId=ingest.participant_id, reason="over")

    assert await ingest.stage.events(ingest.participant_id) == list(COMPLETE)
    await encoder.wait_until_ended()
    assert await ingest.state() == "INACTIVE"
    detached = await ingest.start()
    await detached.wait_until_ended()
    assert await ingest.stage.events(ingest.participant_id) == list(COMPLETE)
    await asyncio.to_thread(ingest.stage.ivs.update_ingest_configuration, arn=ingest.arn, stageArn=ingest.stage.arn)
    await ingest.start()
    await ingest.expect_events(*COMPLETE, "JOINED", "PUBLISH_STARTED")


async def test_only_a_forced_deletion_of_an_active_configuration_ends_its_stream(ingest: IngestHandle) -> None:
    encoder = await ingest.publish()

    with refused("ConflictException", naming=ingest.arn):
        await asyncio.to_thread(ingest.stage.ivs.delete_ingest_configuration, arn=ingest.arn)
    assert encoder.is_running
    await asyncio.to_thread(ingest.stage.ivs.delete_ingest_configuration, arn=ingest.arn, force=True)

    assert await ingest.stage.events(ingest.participant_id) == list(COMPLETE)
    await encoder.wait_until_ended()


async def test_deleting_a_stage_ends_its_streams(ingest: IngestHandle) -> None:
    encoder = await ingest.publish()
    await asyncio.to_thread(ingest.stage.ivs.delete_stage, arn=ingest.stage.arn)
    await encoder.wait_until_ended()
    assert await ingest.state() == "INACTIVE"


@pytest.mark.parametrize("end", ["stopped", "killed"])
async def test_encoders_leave_when_the_server_ends(tmp_path: Path, ingests: list[IngestHandle], end: str) -> None:
    with run_ingest_server(tmp_path / "data") as server:
        stage = StageHandle(server)
        ingests.append(await IngestHandle.create(stage))
        encoder = await ingests[0].publish()
        if end == "stopped":
            assert await asyncio.to_thread(server.stop) == 0
        else:
            server.kill()
        await encoder.wait_until_ended()
    with run_ingest_server(tmp_path / "data") as server:
        events = await StageHandle(server, arn=stage.arn).events(ingests[0].participant_id)
        assert events == list(COMPLETE)
