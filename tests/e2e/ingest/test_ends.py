"""However an encoder's stream ends, its participant has left, its key is free, and its connection is closed."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.aws.client_errors import refused
from tests.e2e.ingest.ingest_of_test import IngestOfTest, run_ingest_server
from tests.e2e.participants.stage_handle import StageHandle

WHOLE = ("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


@pytest.mark.parametrize("protocol", ["RTMP", "RTMPS"])
async def test_an_encoder_that_is_killed_has_left_and_comes_back_with_its_key(
    ingest: IngestOfTest, protocol: str
) -> None:
    encoder = await ingest.publish(protocol=protocol)
    await encoder.kill()
    await ingest.expect_events(*WHOLE)
    await ingest.start(protocol=protocol)
    await ingest.expect_events(*WHOLE, "JOINED", "PUBLISH_STARTED")


@pytest.mark.parametrize("protocol", ["RTMP", "RTMPS"])
async def test_an_encoder_whose_network_is_cut_has_left_and_comes_back_with_its_key(
    ingest: IngestOfTest, protocol: str
) -> None:
    encoder = await ingest.publish(protocol=protocol)
    encoder.freeze()
    await ingest.expect_events(*WHOLE)
    await ingest.start(protocol=protocol)
    await ingest.expect_events(*WHOLE, "JOINED", "PUBLISH_STARTED")


async def test_a_disconnected_encoder_is_off_the_stage_until_it_is_attached_again(ingest: IngestOfTest) -> None:
    encoder = await ingest.publish()

    await ingest.stage.call("disconnect_participant", participantId=ingest.participant_id, reason="over")

    assert await ingest.stage.events(ingest.participant_id) == list(WHOLE)
    await encoder.wait_until_ended()
    assert await ingest.state() == "INACTIVE"
    unattached = await ingest.start()
    await unattached.wait_until_ended()
    assert await ingest.stage.events(ingest.participant_id) == list(WHOLE)
    await asyncio.to_thread(ingest.stage.ivs.update_ingest_configuration, arn=ingest.arn, stageArn=ingest.stage.arn)
    await ingest.start()
    await ingest.expect_events(*WHOLE, "JOINED", "PUBLISH_STARTED")


async def test_an_active_configuration_is_deleted_by_force_alone_which_ends_its_stream(ingest: IngestOfTest) -> None:
    encoder = await ingest.publish()

    with refused("ConflictException", naming=ingest.arn):
        await asyncio.to_thread(ingest.stage.ivs.delete_ingest_configuration, arn=ingest.arn)
    assert encoder.is_running
    await asyncio.to_thread(ingest.stage.ivs.delete_ingest_configuration, arn=ingest.arn, force=True)

    assert await ingest.stage.events(ingest.participant_id) == list(WHOLE)
    await encoder.wait_until_ended()


async def test_a_deleted_stage_ends_its_streams(ingest: IngestOfTest) -> None:
    encoder = await ingest.publish()
    await asyncio.to_thread(ingest.stage.ivs.delete_stage, arn=ingest.stage.arn)
    await encoder.wait_until_ended()
    assert await ingest.state() == "INACTIVE"


@pytest.mark.parametrize("end", ["stopped", "killed"])
async def test_when_the_server_ends_its_encoders_have_left(tmp_path: Path, made: list[IngestOfTest], end: str) -> None:
    with run_ingest_server(tmp_path / "data") as server:
        stage = StageHandle(server)
        made.append(await IngestOfTest.make(stage))
        encoder = await made[0].publish()
        if end == "stopped":
            assert await asyncio.to_thread(server.stop) == 0
        else:
            server.kill()
        await encoder.wait_until_ended()
    with run_ingest_server(tmp_path / "data") as server:
        events = await StageHandle(server, arn=stage.arn).events(made[0].participant_id)
        assert events == list(WHOLE)
