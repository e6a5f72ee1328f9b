"""The main job with real encoders: publish by RTMP and RTMPS, be watched, leave, and what the book says of it."""

import asyncio

import pytest

from tests.e2e.ingest.commands import GSTREAMER, GSTREAMER_UNCHECKED, PUBLISH, PUBLISH_CHECKED, VIEWED
from tests.e2e.ingest.ingest_of_test import IngestOfTest, watch
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle

COMMANDS = [
    pytest.param(PUBLISH, "RTMP", id="ffmpeg-rtmp"),
    pytest.param(PUBLISH_CHECKED, "RTMPS", id="ffmpeg-rtmps"),
    pytest.param(GSTREAMER, "RTMP", id="gstreamer-rtmp"),
    pytest.param(GSTREAMER_UNCHECKED, "RTMPS", id="gstreamer-rtmps"),
]


@pytest.mark.parametrize(("command", "protocol"), COMMANDS)
async def test_an_encoder_publishes_is_watched_and_leaves(
    stage: StageHandle, made: list[IngestOfTest], peers: Peers, command: str, protocol: str
) -> None:
    ingest = await IngestOfTest.make(stage, userId="ada", attributes={"role": "host"})
    made.append(ingest)
    assert await ingest.state() == "INACTIVE"
    certificate = str(stage.server.data / "rtmps-certificate.pem")
    encoder = await ingest.start(command, protocol=protocol, variables={**VIEWED, "CERTIFICATE": certificate})

    await ingest.expect_events("JOINED", "PUBLISH_STARTED")
    assert await ingest.state() == "ACTIVE"
    viewer = await watch(peers, ingest)
    assert viewer.observer.size == (320, 240)
    participant = await stage.participant(ingest.participant_id)
    shown = {name: participant[name] for name in ("state", "published", "protocol", "userId", "attributes")}
    assert shown == {
        "state": "CONNECTED",
        "published": True,
        "protocol": protocol,
        "userId": "ada",
        "attributes": {"role": "host"},
    }
    assert participant["ingestConfigurationArn"] == ingest.arn

    await encoder.stop()
    await ingest.expect_events("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    assert await ingest.state() == "INACTIVE"
    assert (await stage.participant(ingest.participant_id))["state"] == "DISCONNECTED"


async def test_many_viewers_join_at_any_time_and_each_sees_a_picture_at_once(
    stage: StageHandle, ingest: IngestOfTest, peers: Peers
) -> None:
    rare_keyframes = {**VIEWED, "H264": "-c:v libx264 -preset ultrafast -tune zerolatency -g 150"}
    await ingest.publish(variables=rare_keyframes)
    for _ in range(3):
        _, token = await stage.token("SUBSCRIBE")
        viewer = peers.viewer(token, publisher_id=ingest.participant_id)
        await viewer.start()
        async with asyncio.timeout(3):  # keyframes are ten seconds apart
            await viewer.wait_for_more_frames(1)


async def test_several_encoders_publish_side_by_side(
    stage: StageHandle, made: list[IngestOfTest], peers: Peers
) -> None:
    made += [await IngestOfTest.make(stage) for _ in range(3)]
    for ingest in made:
        await ingest.publish(variables=VIEWED)
    await asyncio.gather(*(watch(peers, ingest) for ingest in made))


async def test_an_encoder_is_watched_on_a_second_stage(ingest: IngestOfTest, peers: Peers) -> None:
    await ingest.publish(variables=VIEWED)
    second = StageHandle(ingest.stage.server)
    await asyncio.to_thread(
        second.ivs.start_participant_replication,
        sourceStageArn=ingest.stage.arn,
        destinationStageArn=second.arn,
        participantId=ingest.participant_id,
    )
    _, token = await second.token("SUBSCRIBE")
    viewer = peers.viewer(token, publisher_id=ingest.participant_id)
    await viewer.start()
    await viewer.wait_for_media()
    assert await second.events(ingest.participant_id) == ["JOINED", "PUBLISH_STARTED"]
