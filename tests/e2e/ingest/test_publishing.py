"""Publishing by RTMP and RTMPS with real encoders: viewers, events and participants."""

import asyncio

import pytest

from tests.e2e.ingest.commands import GSTREAMER, GSTREAMER_UNCHECKED, PUBLISH, PUBLISH_CHECKED, VIEWED
from tests.e2e.ingest.ingest_handle import IngestHandle, watch
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
    stage: StageHandle, ingests: list[IngestHandle], peers: Peers, command: str, protocol: str
) -> None:
    ingest = await IngestHandle.create(stage, userId="ada", attributes={"role": "host"})
    ingests.append(ingest)
    assert await ingest.state() == "INACTIVE"
    certificate = str(stage.server.data / "rtmps-certificate.pem")
    encoder = await ingest.start(command, protocol=protocol, variables={**VIEWED, "CERTIFICATE": certificate})

    await ingest.expect_events("JOINED", "PUBLISH_STARTED")
    assert await ingest.state() == "ACTIVE"
    viewer = await watch(peers, ingest)
    assert viewer.observer.size == (320, 240)
    participant = await stage.participant(ingest.participant_id)
    members = {name: participant[name] for name in ("state", "published", "protocol", "userId", "attributes")}
    assert members == {
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


async def test_viewers_that_join_between_keyframes_receive_video_at_once(
    stage: StageHandle, ingest: IngestHandle, peers: Peers
) -> None:
    rare_keyframes = {**VIEWED, "H264": "-c:v libx264 -preset ultrafast -tune zerolatency -g 900"}
    await ingest.publish(variables=rare_keyframes)
    for _ in range(3):
        _, token = await stage.token("SUBSCRIBE")
        viewer = peers.viewer(token, publisher_id=ingest.participant_id)
        await viewer.start()
        async with asyncio.timeout(15):  # keyframes are a minute apart
            await viewer.wait_for_more_frames(1)


async def test_several_encoders_publish_at_the_same_time(
    stage: StageHandle, ingests: list[IngestHandle], peers: Peers
) -> None:
    ingests += [await IngestHandle.create(stage) for _ in range(3)]
    for ingest in ingests:
        await ingest.publish(variables=VIEWED)
    await asyncio.gather(*(watch(peers, ingest) for ingest in ingests))


async def test_an_encoder_is_watched_on_a_second_stage(ingest: IngestHandle, peers: Peers) -> None:
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
    await second.expect_events(ingest.participant_id, "JOINED", "PUBLISH_STARTED")
