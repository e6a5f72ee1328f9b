"""Participants that join with an encoder, as the operations return them."""

import pytest

from stagebook.stage.errors import ConflictError
from tests.api.aws.operations.aws_api_harness import AwsApiHarness, Json

ATTRIBUTES = {"room": "one"}


async def configuration_of(api: AwsApiHarness, **members: Json) -> Json:
    members = {"ingestProtocol": "RTMPS", "userId": "encoder", "attributes": ATTRIBUTES, **members}
    return (await api.call("CreateIngestConfiguration", **members))["ingestConfiguration"]


async def session_of(api: AwsApiHarness, stage_arn: str) -> Json:
    return (await api.call("GetStage", arn=stage_arn))["stage"]["activeSessionId"]


async def participant(api: AwsApiHarness, stage_arn: str, participant_id: str) -> Json:
    session_id = await session_of(api, stage_arn)
    answer = await api.call("GetParticipant", stageArn=stage_arn, sessionId=session_id, participantId=participant_id)
    return answer["participant"]


async def events(api: AwsApiHarness, stage_arn: str, participant_id: str) -> Json:
    session_id = await session_of(api, stage_arn)
    names = {"stageArn": stage_arn, "sessionId": session_id, "participantId": participant_id}
    answer = await api.call("ListParticipantEvents", **names)
    return [{key: event[key] for key in event if key in ("name", "errorCode")} for event in answer["events"]]


@pytest.mark.parametrize(("is_secure", "protocol"), [(True, "RTMPS"), (False, "RTMP")])
async def test_an_encoder_participant_has_all_members(api: AwsApiHarness, *, is_secure: bool, protocol: str) -> None:
    stage_arn = await api.create_stage()
    created = await configuration_of(api, stageArn=stage_arn, insecureIngest=True)
    await api.connect_encoder(created["streamKey"], is_secure=is_secure)

    returned = await participant(api, stage_arn, created["participantId"])

    assert returned == {
        "participantId": created["participantId"],
        "userId": "encoder",
        "state": "CONNECTED",
        "firstJoinTime": "2023-04-26T20:30:34.250Z",
        "attributes": ATTRIBUTES,
        "published": True,
        "ispName": "",
        "osName": "",
        "osVersion": "",
        "browserName": "",
        "browserVersion": "",
        "sdkVersion": "",
        "recordingS3BucketName": "",
        "recordingS3Prefix": "",
        "recordingState": "DISABLED",
        "protocol": protocol,
        "replicationType": "NONE",
        "redundantIngest": False,
        "ingestConfigurationArn": created["arn"],
    }


async def test_redundant_streams_and_their_virtual_participant_are_listed(api: AwsApiHarness) -> None:
    stage_arn = await api.create_stage()
    created = await configuration_of(api, stageArn=stage_arn, redundantIngest=True)
    credentials = created["redundantIngestCredentials"]
    for credential in credentials:
        await api.connect_encoder(credential["streamKey"])

    answer = await api.call("ListParticipants", stageArn=stage_arn, sessionId=await session_of(api, stage_arn))

    returned = answer["participants"]
    streams = [credential["participantId"] for credential in credentials]
    assert {one["participantId"] for one in returned} == {created["participantId"], *streams}
    assert all(one["redundantIngest"] and one["published"] for one in returned)
    assert {one["ingestConfigurationArn"] for one in returned} == {created["arn"]}
    assert (await participant(api, stage_arn, created["participantId"]))["protocol"] == "RTMPS"


async def test_a_refused_encoder_is_listed_with_its_error_event(api: AwsApiHarness) -> None:
    stage_arn = await api.create_stage()
    created = await configuration_of(api, stageArn=stage_arn)
    await api.connect_encoder(created["streamKey"], is_secure=False)

    returned = await participant(api, stage_arn, created["participantId"])

    assert (returned["state"], returned["published"], returned["protocol"]) == ("DISCONNECTED", False, "UNKNOWN")
    assert "firstJoinTime" not in returned
    assert returned["ingestConfigurationArn"] == created["arn"]
    assert await events(api, stage_arn, created["participantId"]) == [
        {"name": "PUBLISH_ERROR", "errorCode": "INVALID_PROTOCOL"}
    ]


async def test_a_configuration_is_active_while_its_encoder_is_connected(api: AwsApiHarness) -> None:
    stage_arn = await api.create_stage()
    created = await configuration_of(api, stageArn=stage_arn)
    await api.connect_encoder(created["streamKey"])

    async def state() -> Json:
        return (await api.call("GetIngestConfiguration", arn=created["arn"]))["ingestConfiguration"]["state"]

    assert await state() == "ACTIVE"
    listed = await api.call("ListIngestConfigurations", filterByState="ACTIVE")
    assert [one["arn"] for one in listed["ingestConfigurations"]] == [created["arn"]]
    with pytest.raises(ConflictError):
        await api.call("UpdateIngestConfiguration", arn=created["arn"], stageArn="")

    await api.call("DisconnectParticipant", stageArn=stage_arn, participantId=created["participantId"])
    assert await state() == "INACTIVE"
    assert [event["name"] for event in await events(api, stage_arn, created["participantId"])] == [
        "LEFT",
        "PUBLISH_STOPPED",
        "PUBLISH_STARTED",
        "JOINED",
    ]
