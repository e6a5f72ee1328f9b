"""RTMP encoders without media over the testing API."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stagebook.manager.participants.encoder_rate_limit import RECORDED_PER_MINUTE
from stagebook.manager.resources.ingest_configuration_service import IngestSpec
from stagebook.stage.resources import IngestConfiguration, IngestProtocol
from tests.api.testing.participants.peer_harness import PeerHarness, running_peers
from tests.manager.manager_harness import ACCOUNT


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[PeerHarness]:
    async with running_peers(tmp_path) as peers:
        yield peers


@pytest.fixture
async def stage_arn(peers: PeerHarness) -> str:
    return await peers.stage()


async def configuration(
    peers: PeerHarness, stage_arn: str, *, insecure: bool = False, redundant: bool = False
) -> IngestConfiguration:
    spec = IngestSpec(
        ingest_protocol=IngestProtocol.RTMPS,
        stage_arn=stage_arn,
        insecure_ingest=insecure,
        redundant_ingest=redundant,
    )
    return await peers.manager.ingest_configurations.create(account_id=ACCOUNT, spec=spec)


async def test_an_encoder_publishes_with_a_stream_key(peers: PeerHarness, stage_arn: str) -> None:
    made = await configuration(peers, stage_arn)
    encoder = await peers.encoder(streamKey=made.stream_key)
    assert await encoder.do("publish") == ["JOINED", "PUBLISH_STARTED"]
    assert await encoder.refused("publish") == "the encoder publishes already"
    assert await encoder.do("lose-connection") == ["PUBLISH_STOPPED", "LEFT"]
    assert encoder.document["leftCause"] == "peer_lost"
    assert await encoder.do("publish") == ["JOINED", "PUBLISH_STARTED"]
    assert await encoder.do("stop") == ["PUBLISH_STOPPED", "LEFT"]
    assert (encoder.document["leftCause"], encoder.document["isPublishing"]) == ("client", False)


async def test_an_ingest_configuration_is_made_for_a_stage(peers: PeerHarness, stage_arn: str) -> None:
    encoder = await peers.encoder(stageArn=stage_arn, userId="camera", attributes={"angle": "left"})
    made = peers.manager.ingest_configurations.get(encoder.document["ingestConfigurationArn"])
    assert (made.stage_arn, made.user_id, made.attributes) == (stage_arn, "camera", {"angle": "left"})
    assert await encoder.do("publish") == ["JOINED", "PUBLISH_STARTED"]


async def test_redundant_encoders_show_one_virtual_participant(peers: PeerHarness, stage_arn: str) -> None:
    made = await configuration(peers, stage_arn, redundant=True)
    one, other = [await peers.encoder(streamKey=each.stream_key) for each in made.redundant_credentials]
    assert sorted(await one.do("publish")) == ["JOINED", "JOINED", "PUBLISH_STARTED", "PUBLISH_STARTED"]
    assert await other.do("publish") == ["JOINED", "PUBLISH_STARTED"]
    viewer = await peers.participant(stage_arn)
    assert await viewer.do("subscribe", to=made.participant_id) == ["JOINED", "SUBSCRIBE_STARTED"]
    await one.do("stop")
    assert (await viewer.state())["subscribedTo"] == [made.participant_id]
    await other.do("stop")
    assert (await viewer.state())["subscribedTo"] == []


async def test_a_configuration_that_allows_rtmp_has_no_wrong_protocol(peers: PeerHarness, stage_arn: str) -> None:
    made = await configuration(peers, stage_arn, insecure=True)
    encoder = await peers.encoder(streamKey=made.stream_key, protocol="RTMP")
    assert "set insecureIngest to false" in await encoder.refused("fail-publish", errorCode="INVALID_PROTOCOL")
    assert await encoder.do("publish") == ["JOINED", "PUBLISH_STARTED"]
    assert "stop it first" in await encoder.refused("fail-publish", errorCode="QUOTA_EXCEEDED")


@pytest.mark.parametrize("code", ["INSUFFICIENT_CAPABILITIES", "PUBLISHER_NOT_FOUND"])
async def test_a_code_of_others_names_its_call(peers: PeerHarness, stage_arn: str, code: str) -> None:
    encoder = await peers.encoder(stageArn=stage_arn)
    assert "of a participant" in await encoder.refused("fail-publish", errorCode=code)


async def test_a_refusal_that_is_not_recorded_is_an_error(peers: PeerHarness, stage_arn: str) -> None:
    encoder = await peers.encoder(stageArn=stage_arn)
    for _ in range(RECORDED_PER_MINUTE):
        assert await encoder.do("fail-publish", errorCode="INVALID_STREAM_KEY") == ["PUBLISH_ERROR INVALID_STREAM_KEY"]
    assert "recorded no event" in await encoder.refused("fail-publish", errorCode="INVALID_STREAM_KEY")
    peers.clock.ms += 60_000
    await encoder.do("fail-publish", errorCode="INVALID_STREAM_KEY")


async def test_a_key_is_in_use_whoever_uses_it(peers: PeerHarness, stage_arn: str) -> None:
    made = await configuration(peers, stage_arn)
    first, second = [await peers.encoder(streamKey=made.stream_key) for _ in range(2)]
    await first.do("publish")
    assert await second.do("fail-publish", errorCode="REUSE_OF_STREAM_KEY") == ["PUBLISH_ERROR REUSE_OF_STREAM_KEY"]
    assert ((await first.state())["isPublishing"], second.document["isPublishing"]) == (True, False)


async def test_a_detached_configuration_admits_nobody(peers: PeerHarness, stage_arn: str) -> None:
    encoder = await peers.encoder(stageArn=stage_arn)
    arn = encoder.document["ingestConfigurationArn"]
    await peers.manager.ingest_configurations.update(arn=arn, stage_arn="", redundant_ingest=None)
    assert (await encoder.refused("publish")).startswith("INVALID_STREAM_KEY: ")


@pytest.mark.parametrize(
    ("members", "detail"),
    [
        ({}, "streamKey: is required, or else stageArn"),
        ({"streamKey": "x", "stageArn": "y"}, "streamKey: is required, or else stageArn"),
        ({"streamKey": "x"}, "streamKey: is not a stream key"),
        ({"streamKey": "x", "protocol": "WHIP"}, "protocol: Invalid enum value 'WHIP', expected one of RTMP, RTMPS"),
    ],
)
async def test_a_wrong_member_is_named(peers: PeerHarness, members: dict[str, object], detail: str) -> None:
    problem = await peers.call("POST", "encoders", members, status=400)
    assert problem["detail"].startswith(detail)


async def test_a_deleted_encoder_has_stopped(peers: PeerHarness, stage_arn: str) -> None:
    encoder = await peers.encoder(stageArn=stage_arn)
    await encoder.do("publish")
    await peers.call("DELETE", encoder.path, status=204)
    await peers.call("GET", encoder.path, status=404)
    assert len(peers.services.engine) == 0


async def test_a_new_ingest_configuration_allows_the_protocol_of_its_encoder(
    peers: PeerHarness, stage_arn: str
) -> None:
    encoder = await peers.encoder(stageArn=stage_arn, protocol="RTMP")
    assert await encoder.do("publish") == ["JOINED", "PUBLISH_STARTED"]


async def test_an_encoder_needs_a_stage_that_exists(peers: PeerHarness, stage_arn: str) -> None:
    problem = await peers.call("POST", "encoders", {"stageArn": f"{stage_arn}x"}, status=404)
    assert problem["detail"] == f"stage {stage_arn}x does not exist"
