"""A node is killed while it records: the one that takes the account ends the recording, the killed one completes it."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clients.publisher import Publisher
from tests.e2e.cluster.nodes import Node, running_nodes
from tests.postgres_server import database

pytestmark = [pytest.mark.recording, pytest.mark.timeout(300)]
DEADLINE_SECONDS = 60


def recorded_stage(node: Node) -> str:
    """Return the ARN of a new stage that records its publishers."""
    ivs = node.client()
    configuration = ivs.create_storage_configuration(s3={"bucketName": "my-bucket"})["storageConfiguration"]
    stage = ivs.create_stage(
        autoParticipantRecordingConfiguration={
            "storageConfigurationArn": configuration["arn"],
            "hlsConfiguration": {"targetSegmentDurationSeconds": 2},
        }
    )["stage"]
    return str(stage["arn"])


def participant(node: Node, stage_arn: str) -> dict[str, Any]:
    """Return the one participant of the stage."""
    ivs = node.client()
    (session,) = ivs.list_stage_sessions(stageArn=stage_arn)["stageSessions"]
    scope = {"stageArn": stage_arn, "sessionId": session["sessionId"]}
    (listed,) = ivs.list_participants(**scope)["participants"]
    found: dict[str, Any] = ivs.get_participant(**scope, participantId=listed["participantId"])["participant"]
    return found


def wait_for_segments(folder: Path, count: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len([*folder.rglob("*.mp4"), *folder.rglob("*.m4s")]) < count:
        assert time.monotonic() < deadline, sorted(folder.rglob("*"))
        time.sleep(0.05)


def wait_for_metadata(folder: Path) -> dict[str, Any]:
    """Wait for the metadata of the end of the one recording in a bucket."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := [*folder.rglob("recording-failed.json"), *folder.rglob("recording-ended.json")]):
        assert time.monotonic() < deadline, sorted(folder.rglob("*"))
        time.sleep(0.05)
    (path,) = found
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


async def test_a_recording_ends_when_its_node_is_killed(tmp_path: Path, postgres_server_url: str) -> None:
    # The node that will take the account has recorded before: its own recorder runs.
    (tmp_path / "node-1" / "recordings").mkdir(parents=True, mode=0o700)
    with (
        database(postgres_server_url) as url,
        running_nodes(tmp_path, database_url=url, count=2) as (taker, killed),
    ):
        stage_arn = await asyncio.to_thread(recorded_stage, killed)
        made = await asyncio.to_thread(killed.client().create_participant_token, stageArn=stage_arn)
        publisher = Publisher(made["participantToken"]["token"], whip_url=f"{killed.url}/whip")
        await publisher.start()
        bucket = killed.data / "recordings" / "my-bucket"
        await asyncio.to_thread(wait_for_segments, bucket, 2)
        killed.kill()
        await publisher.stop()
        # Waits for the takeover, but not for a recorder.
        await asyncio.to_thread(taker.client().create_stage)
        assert taker.owns_account()
        ended = await asyncio.to_thread(participant, taker, stage_arn)
        assert (ended["state"], ended["recordingState"]) == ("DISCONNECTED", "FAILED")
        assert "has not exited" not in taker.output
        with Node(killed.data, database_url=url, name=killed.name) as again:
            metadata = await asyncio.to_thread(wait_for_metadata, bucket)
            assert metadata["recording_status"] == "RECORDING_ENDED_WITH_FAILURE"
            assert not again.owns_account()
            assert await asyncio.to_thread(participant, again, stage_arn) == ended
