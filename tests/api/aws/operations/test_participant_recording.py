"""Individual participant recording in CreateStage, UpdateStage, GetParticipant, ListParticipants and
ListParticipantEvents."""

import pytest

from stagebook.stage.errors import ConflictError, InvalidInputError
from tests.api.aws.operations.aws_api_harness import ACCOUNT_ID, AwsApiHarness, JoinedParticipant, Json

UNKNOWN_STORAGE = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:storage-configuration/abcdABCDefgh"
MEMBER = "autoParticipantRecordingConfiguration"


async def recorded_stage(api: AwsApiHarness, **members: Json) -> str:
    """Create a stage that is recorded; return its ARN."""
    configuration: Json = {"storageConfigurationArn": await api.create_storage(), **members}
    return await api.create_stage(**{MEMBER: configuration})


async def published(api: AwsApiHarness, stage_arn: str) -> JoinedParticipant:
    """Let a participant join and publish."""
    joined = await api.join(stage_arn)
    await joined.publish()
    await api.manager.settled()
    return joined


async def shown(api: AwsApiHarness, joined: JoinedParticipant) -> dict[str, str]:
    """Return the members of a participant that are about its recording."""
    await api.manager.settled()
    participant = (await api.call("GetParticipant", **joined.identifiers))["participant"]
    return {name: participant[name] for name in participant if name.startswith("recording")}


async def test_a_configuration_is_returned_with_every_member(api: AwsApiHarness) -> None:
    configuration: Json = {
        "storageConfigurationArn": await api.create_storage(),
        "mediaTypes": ["AUDIO_ONLY"],
        "thumbnailConfiguration": {
            "targetIntervalSeconds": 5,
            "storage": ["SEQUENTIAL", "LATEST"],
            "recordingMode": "INTERVAL",
        },
        "recordingReconnectWindowSeconds": 300,
        "hlsConfiguration": {"targetSegmentDurationSeconds": 10},
        "recordParticipantReplicas": False,
    }
    arn = await api.create_stage(**{MEMBER: configuration})
    assert (await api.call("GetStage", arn=arn))["stage"][MEMBER] == configuration
    switched_off: Json = {"storageConfigurationArn": ""}
    updated = await api.call("UpdateStage", arn=arn, **{MEMBER: switched_off})
    assert updated["stage"][MEMBER]["storageConfigurationArn"] == ""
    assert updated["stage"][MEMBER]["hlsConfiguration"] == {"targetSegmentDurationSeconds": 6}


@pytest.mark.parametrize("operation", ["CreateStage", "UpdateStage"])
@pytest.mark.parametrize(
    ("configuration", "member"),
    [
        ({"storageConfigurationArn": UNKNOWN_STORAGE}, "storageConfigurationArn"),
        (
            {"storageConfigurationArn": "", "thumbnailConfiguration": {"targetIntervalSeconds": 5}},
            "thumbnailConfiguration.targetIntervalSeconds",
        ),
        (
            {"storageConfigurationArn": "", "thumbnailConfiguration": {"storage": ["LATEST", "LATEST"]}},
            "thumbnailConfiguration.storage",
        ),
    ],
)
async def test_a_broken_rule_names_the_member(
    api: AwsApiHarness, operation: str, configuration: Json, member: str
) -> None:
    names: dict[str, Json] = {"arn": await api.create_stage()} if operation == "UpdateStage" else {}
    with pytest.raises(InvalidInputError) as error:
        await api.call(operation, **names, **{MEMBER: configuration})
    assert error.value.member == f"{MEMBER}.{member}"


async def test_a_storage_configuration_of_another_account_is_refused(api: AwsApiHarness) -> None:
    created = await api.call("CreateStorageConfiguration", account_id="210987654321", s3={"bucketName": "bucket"})
    with pytest.raises(InvalidInputError, match="of this account and region"):
        await api.create_stage(**{MEMBER: {"storageConfigurationArn": created["storageConfiguration"]["arn"]}})


async def test_a_participant_shows_its_recording(api: AwsApiHarness) -> None:
    stage_arn = await recorded_stage(api)
    joined = await published(api, stage_arn)
    prefix = f"{stage_arn.rpartition('/')[2]}/{joined.session_id}/{joined.participant_id}/2023-04-26T20-30-34Z"
    where = {"recordingS3BucketName": "bucket", "recordingS3Prefix": prefix}
    assert await shown(api, joined) == {"recordingState": "STARTING", **where}
    api.recorder.start()
    assert await shown(api, joined) == {"recordingState": "ACTIVE", **where}
    await api.call("DisconnectParticipant", stageArn=stage_arn, participantId=joined.participant_id)
    assert await shown(api, joined) == {"recordingState": "STOPPED", **where}


async def test_participants_are_filtered_by_the_state_of_their_recordings(api: AwsApiHarness) -> None:
    stage_arn = await recorded_stage(api)
    silent = await api.join(stage_arn)
    starting, active = [await published(api, stage_arn) for _ in range(2)]
    api.recorder.start()
    await api.manager.settled()

    async def listed(state: str) -> list[tuple[str, str]]:
        answer = await api.call(
            "ListParticipants", stageArn=stage_arn, sessionId=silent.session_id, filterByRecordingState=state
        )
        return [(each["participantId"], each["recordingState"]) for each in answer["participants"]]

    assert await listed("ACTIVE") == [(active.participant_id, "ACTIVE")]
    assert await listed("STARTING") == [(starting.participant_id, "STARTING")]
    assert await listed("DISABLED") == [(silent.participant_id, "DISABLED")]
    assert await listed("FAILED") == []


async def test_the_configuration_cannot_be_changed_while_a_participant_is_recorded(api: AwsApiHarness) -> None:
    stage_arn = await recorded_stage(api)
    await published(api, stage_arn)
    with pytest.raises(ConflictError):
        await api.call(
            "UpdateStage", arn=stage_arn, autoParticipantRecordingConfiguration={"storageConfigurationArn": ""}
        )
    same: Json = (await api.call("GetStage", arn=stage_arn))["stage"][MEMBER]
    await api.call("UpdateStage", arn=stage_arn, name="renamed", **{MEMBER: same})


async def test_the_events_of_recordings_are_not_participant_events(api: AwsApiHarness) -> None:
    joined = await published(api, await recorded_stage(api))
    api.recorder.start()
    await api.manager.settled()
    answer = await api.call("ListParticipantEvents", **joined.identifiers)
    assert [each["name"] for each in answer["events"]] == ["PUBLISH_STARTED", "JOINED"]
