"""Stages with boto3."""

import re
from pathlib import Path

from tests.e2e.aws.client_errors import refused
from tests.e2e.aws.documented_example import ACCOUNT_ID
from tests.e2e.aws.websocket_client import joined, token_payload
from tests.e2e.server import Client, RunningServer, run_server

UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:stage/000000000000"


def test_a_stage_is_created_read_updated_listed_and_deleted(server: RunningServer, ivs: Client) -> None:
    created = ivs.create_stage(name="first", tags={"team": "blue"})["stage"]
    arn = created["arn"]
    assert re.fullmatch(rf"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:stage/[0-9A-Za-z]{{12}}", arn)
    assert created["endpoints"]["whip"] == f"{server.endpoint_url}/whip"
    assert created["endpoints"]["events"] == f"{server.endpoint_url.replace('http', 'ws', 1)}/events"
    assert ivs.get_stage(arn=arn)["stage"] == created
    renamed = ivs.update_stage(arn=arn, name="second")["stage"]
    assert renamed == {**created, "name": "second"}
    assert {"arn": arn, "name": "second", "tags": {"team": "blue"}} in ivs.list_stages(maxResults=100)["stages"]
    response = ivs.delete_stage(arn=arn)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert int(response["ResponseMetadata"]["HTTPHeaders"]["content-length"]) == 0
    with refused("ResourceNotFoundException", naming=arn):
        ivs.get_stage(arn=arn)


def test_tokens_of_create_stage_are_for_the_new_stage(ivs: Client) -> None:
    response = ivs.create_stage(
        participantTokenConfigurations=[{"userId": "alice", "capabilities": ["SUBSCRIBE"]}, {"userId": "bob"}]
    )
    assert [token["userId"] for token in response["participantTokens"]] == ["alice", "bob"]
    for token in response["participantTokens"]:
        assert token_payload(token["token"])["resource"] == response["stage"]["arn"]
        assert token_payload(token["token"])["jti"] == token["participantId"]


def test_a_stage_has_an_active_session_while_a_participant_is_on_it(ivs: Client, stage_arn: str) -> None:
    assert "activeSessionId" not in ivs.get_stage(arn=stage_arn)["stage"]
    token = ivs.create_participant_token(stageArn=stage_arn)["participantToken"]
    with joined(token["token"]):
        session_id = ivs.get_stage(arn=stage_arn)["stage"]["activeSessionId"]
        assert re.fullmatch(r"st-[0-9A-Za-z]{13}", session_id)
        assert ivs.get_stage_session(stageArn=stage_arn, sessionId=session_id)["stageSession"].keys() == {
            "sessionId",
            "startTime",
        }


def test_an_unknown_stage_is_not_found(ivs: Client) -> None:
    for call in (ivs.get_stage, ivs.update_stage, ivs.delete_stage):
        with refused("ResourceNotFoundException", naming=UNKNOWN_ARN):
            call(arn=UNKNOWN_ARN)


def test_a_recording_configuration_is_refused(ivs: Client, stage_arn: str) -> None:
    recording = {"storageConfigurationArn": f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:storage-configuration/000000000000"}
    with refused("ValidationException", naming="storageConfigurationArn"):
        ivs.create_stage(autoParticipantRecordingConfiguration=recording)
    with refused("ValidationException", naming="storageConfigurationArn"):
        ivs.update_stage(arn=stage_arn, autoParticipantRecordingConfiguration=recording)


def test_a_recording_configuration_is_set_shown_and_switched_off(ivs: Client, stage_arn: str) -> None:
    storage = ivs.create_storage_configuration(s3={"bucketName": "recordings"})["storageConfiguration"]
    recording = {
        "storageConfigurationArn": storage["arn"],
        "mediaTypes": ["AUDIO_VIDEO"],
        "thumbnailConfiguration": {"targetIntervalSeconds": 5, "storage": ["LATEST"], "recordingMode": "INTERVAL"},
        "recordingReconnectWindowSeconds": 60,
        "hlsConfiguration": {"targetSegmentDurationSeconds": 2},
        "recordParticipantReplicas": False,
    }
    ivs.update_stage(arn=stage_arn, autoParticipantRecordingConfiguration=recording)
    assert ivs.get_stage(arn=stage_arn)["stage"]["autoParticipantRecordingConfiguration"] == recording
    with refused("ValidationException", naming="thumbnailConfiguration.targetIntervalSeconds"):
        wrong = recording | {"thumbnailConfiguration": {"targetIntervalSeconds": 5, "recordingMode": "DISABLED"}}
        ivs.update_stage(arn=stage_arn, autoParticipantRecordingConfiguration=wrong)
    for member, value in (("recordingReconnectWindowSeconds", 301), ("mediaTypes", ["AUDIO_VIDEO", "NONE"])):
        with refused("ValidationException", naming=member):
            ivs.update_stage(arn=stage_arn, autoParticipantRecordingConfiguration=recording | {member: value})
    off = ivs.update_stage(arn=stage_arn, autoParticipantRecordingConfiguration={"storageConfigurationArn": ""})
    assert off["stage"]["autoParticipantRecordingConfiguration"]["storageConfigurationArn"] == ""
    ivs.delete_storage_configuration(arn=storage["arn"])


def test_stages_above_the_quota_are_refused(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", quota_overrides="stages=1") as server:
        ivs = server.client()
        ivs.create_stage()
        with refused("ServiceQuotaExceededException"):
            ivs.create_stage()


def test_stages_and_page_tokens_survive_a_restart(tmp_path: Path) -> None:
    with run_server(tmp_path / "data") as first:
        arns = [first.client().create_stage(name=f"stage{number}")["stage"]["arn"] for number in range(3)]
        token = first.client().list_stages(maxResults=2)["nextToken"]
    with run_server(tmp_path / "data") as second:
        page = second.client().list_stages(maxResults=2, nextToken=token)
        assert [stage["arn"] for stage in page["stages"]] == arns[2:]
