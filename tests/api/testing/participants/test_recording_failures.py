"""Recordings of participants and encoders without media: their events, their failures, and the clock."""

import json
from pathlib import Path

import pytest

from stagebook.stage.events import RecordingErrorCode
from tests.api.testing.participants.peer_harness import PeerHarness, running_peers

AT_END = [code for code in RecordingErrorCode if code is not RecordingErrorCode.VALIDATION]


async def recording_stage(peers: PeerHarness, **members: object) -> str:
    """Make a stage that records; return its ARN."""
    return await peers.stage(recording={"storageConfigurationArn": await peers.storage(), **members})


async def test_a_participant_is_recorded_while_it_publishes(tmp_path: Path) -> None:
    async with running_peers(tmp_path) as peers:
        ann = await peers.participant(await recording_stage(peers))
        assert (await ann.do("publish"))[-2:] == ["PUBLISH_STARTED", "RECORDING_STARTED"]
        peers.clock.ms += 60_000
        events = await ann.do("unpublish")
        assert "RECORDING_ENDED" in events
        (ended,) = [each["recording"] for each in ann.document["events"] if each["name"] == "RECORDING_ENDED"]
        assert ended["durationMs"] == 60_000
        folder = tmp_path / "recordings" / ended["s3BucketName"] / ended["s3Prefix"] / "events"
        written = json.loads((folder / "recording-ended.json").read_text())
        assert written["participant_id"] == ann.participant_id
        assert written["media"]["hls"]["duration_ms"] == 60_000


@pytest.mark.parametrize("code", RecordingErrorCode)
async def test_a_recording_fails_at_its_start(tmp_path: Path, code: RecordingErrorCode) -> None:
    async with running_peers(tmp_path) as peers:
        ann = await peers.participant(await recording_stage(peers))
        assert "RECORDING_START_FAILED" in await ann.do("fail-recording", errorCode=code)
        assert ann.document["isPublishing"]
        assert ann.document["events"][-1]["recording"]["errorCode"] == code


@pytest.mark.parametrize("code", AT_END)
async def test_a_recording_fails_at_its_end(tmp_path: Path, code: RecordingErrorCode) -> None:
    async with running_peers(tmp_path) as peers:
        ann = await peers.participant(await recording_stage(peers), "publish")
        assert await ann.do("fail-recording", errorCode=code) == ["RECORDING_END_FAILED"]
        bob = await peers.participant(ann.document["stageArn"])
        assert (await bob.do("fail-recording", errorCode=code, at="end"))[-2:] == [
            "RECORDING_STARTED",
            "RECORDING_END_FAILED",
        ]


async def test_what_cannot_happen_is_refused(tmp_path: Path) -> None:
    async with running_peers(tmp_path) as peers:
        ann = await peers.participant(await peers.stage())
        assert "autoParticipantRecordingConfiguration" in await ann.refused(
            "fail-recording", errorCode="AccessDeniedException"
        )
        assert "unpublish first" in await ann.refused("fail-recording", errorCode="AccessDeniedException", at="start")
        assert "no recording ends with it" in await ann.refused(
            "fail-recording", errorCode="ValidationException", at="end"
        )


async def test_an_encoder_is_recorded_as_well(tmp_path: Path) -> None:
    async with running_peers(tmp_path) as peers:
        encoder = await peers.encoder(stageArn=await recording_stage(peers))
        assert "RECORDING_STARTED" in await encoder.do("publish")
        assert await encoder.do("fail-recording", errorCode="InternalServerException") == ["RECORDING_END_FAILED"]
