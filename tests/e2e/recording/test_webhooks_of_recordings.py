"""What a function that waits for recordings gets from a running server: AWS's events, and the file that they name."""

import json
from pathlib import Path

import pytest

from stagebook.testing import StagebookServer
from tests.e2e.server import run_server
from tests.serving import run_command
from tests.webhooks.destinations import SECRET
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.recording

EVENTS = ("RECORDING_STARTED", "RECORDING_ENDED", "RECORDING_START_FAILED")


def test_a_receiver_gets_the_recordings_as_eventbridge_has_them(tmp_path: Path) -> None:
    names = [argument for name in EVENTS for argument in ("--event", name)]
    with Receiver() as receiver, run_server(tmp_path / "data", flags="--testing") as server:
        data = str(server.data)
        added = run_command("webhooks", "add", receiver.url, "--secret", SECRET, *names, "--data", data)
        assert added.returncode == 0, added.stderr
        tools = StagebookServer(url=server.endpoint_url, region="us-west-2", read_log=lambda: server.log)
        ivs = tools.client()
        storage = ivs.create_storage_configuration(s3={"bucketName": "shows"})["storageConfiguration"]["arn"]
        stage = ivs.create_stage(autoParticipantRecordingConfiguration={"storageConfigurationArn": storage})["stage"]
        ann, bob = tools.participant(stage["arn"]), tools.participant(stage["arn"])
        ann.publish()
        ann.unpublish()
        bob.fail_recording("AccessDeniedException")
        bodies = [delivery.body for delivery in receiver.wait_for_accepted(3)]
        listed = run_command("events", "list", "--name", "RECORDING_ENDED", "--output", "json", "--data", data)
        assert json.loads(listed.stdout)["recording"]["s3BucketName"] == "shows"
    assert {each["detail-type"] for each in bodies} == {"IVS Participant Recording State Change"}
    assert [each["detail"]["event_name"] for each in bodies] == [
        "Recording Start",
        "Recording End",
        "Recording Start Failure",
    ]
    assert bodies[1]["resources"] == [stage["arn"]]
    ended = bodies[1]["detail"]
    place = tmp_path / "data" / "recordings" / ended["recording_s3_bucket_name"] / ended["recording_s3_key_prefix"]
    assert json.loads((place / "events/recording-ended.json").read_text())["participant_id"] == ann.participant_id
    assert bodies[2]["detail"]["error_code"] == "AccessDeniedException"
