"""Redundant ingest: two encoders and one participant, whose viewers notice no interruption when an encoder stops."""

from tests.clients.encoder import Encoder
from tests.e2e.ingest.commands import VIEWED
from tests.e2e.ingest.ingest_handle import IngestHandle, watch
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle


async def test_viewers_keep_receiving_when_one_of_two_encoders_stops(
    stage: StageHandle, ingests: list[IngestHandle], peers: Peers
) -> None:
    ingest = await IngestHandle.create(stage, redundantIngest=True, userId="ada")
    ingests.append(ingest)
    first_id, second_id = (credential["participantId"] for credential in ingest.credentials)

    async def start(number: int) -> Encoder:
        encoder = await ingest.start(key=ingest.credentials[number]["streamKey"], variables=VIEWED)
        await stage.expect_events(ingest.credentials[number]["participantId"], *runs[number])
        return encoder

    runs = [["JOINED", "PUBLISH_STARTED"], ["JOINED", "PUBLISH_STARTED"]]
    first = await start(0)
    second = await start(1)
    viewer = await watch(peers, ingest)

    await first.kill()
    await viewer.wait_for_new_media()
    runs[0] += ["PUBLISH_STOPPED", "LEFT", *runs[0]]
    await start(0)
    await second.kill()
    await viewer.wait_for_new_media()

    await stage.expect_events(second_id, *runs[1], "PUBLISH_STOPPED", "LEFT")
    assert await stage.events(first_id) == runs[0]
    await ingest.expect_events("JOINED", "PUBLISH_STARTED")
    for participant_id in (ingest.participant_id, first_id, second_id):
        participant = await stage.participant(participant_id)
        assert participant["ingestConfigurationArn"] == ingest.arn
        assert participant["redundantIngest"] is True
        assert participant["userId"] == "ada"


async def test_the_virtual_participant_leaves_with_the_last_encoder(
    stage: StageHandle, ingests: list[IngestHandle]
) -> None:
    ingest = await IngestHandle.create(stage, redundantIngest=True)
    ingests.append(ingest)
    encoders = [await ingest.start(key=credential["streamKey"], variables=VIEWED) for credential in ingest.credentials]
    for credential in ingest.credentials:
        await stage.expect_events(credential["participantId"], "JOINED", "PUBLISH_STARTED")
    await ingest.expect_events("JOINED", "PUBLISH_STARTED")

    await encoders[0].stop()
    await stage.expect_events(
        ingest.credentials[0]["participantId"], "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"
    )
    await ingest.expect_events("JOINED", "PUBLISH_STARTED")
    assert await ingest.state() == "ACTIVE"
    await encoders[1].stop()
    await ingest.expect_events("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    assert await ingest.state() == "INACTIVE"
